"""Records to a page that one looks at: answers, tables and figures in one HTML file."""
