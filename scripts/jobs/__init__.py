"""Jobs as an operator types them and reads them."""
