"""The node as a user of DICOMweb servers (PS3.18): storing, searching, retrieving. Only here is the HTTP client."""
