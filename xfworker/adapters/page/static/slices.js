// The image viewer's element. Until it is defined, what stands inside <xf-slices> is shown: a link to the file.
