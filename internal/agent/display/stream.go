package display

// The codecs' names in a query.
const (
	codecVP8  = "vp8"
	codecH264 = "h264"
)
