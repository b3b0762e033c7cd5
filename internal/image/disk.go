package image

var compressions = []string{"", "zstd", "none"}
