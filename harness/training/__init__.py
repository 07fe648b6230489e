"""One network, one visible loop; one file per trunk in trunks/."""
