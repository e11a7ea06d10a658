"""HL7 v2.5.1 over MLLP: orders and reports of the RIS come in, results and priorities go out."""
