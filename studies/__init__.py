"""One study, one file with one literal STUDY: the folder is the registry, the file's name is the study's."""
