"""One study, one file with one literal STUDY: a file's name is the study's name everywhere."""
