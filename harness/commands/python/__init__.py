"""What `import harness` offers: the commands as functions, with data frames and figures."""
