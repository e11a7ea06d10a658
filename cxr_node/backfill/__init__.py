"""Films of before, taken in from a folder, a DICOMweb server or an archive, behind all that come by themselves."""
