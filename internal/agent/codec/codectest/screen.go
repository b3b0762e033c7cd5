package codectest

import (
	"image"
	"math"
	"math/rand"
)

// Page draws a tall picture that compresses like a web page: lines of small
// glyphs on white, boxes, and photographs with grain. It returns BGRX pixels,
// width*4 bytes a row. The same seed gives the same page.
func Page(width, height int, seed int64) []byte {
	rnd := rand.New(rand.NewSource(seed))
	px := make([]byte, width*height*4)
	fill(px, width, image.Rect(0, 0, width, height), 255, 255, 255)
	var glyphs [64][9]byte
	for i := range glyphs {
		for y := range glyphs[i] {
			glyphs[i][y] = byte(rnd.Intn(64))
		}
	}
	for y := 10; y < height; {
		if rnd.Intn(6) == 0 {
			photo(px, width, height, y, rnd)
			y += 170
			continue
		}
		ink := byte(rnd.Intn(90))
		for x := 40; x < width-60; x += 8 {
			if rnd.Intn(6) == 0 {
				continue
			}
			g := glyphs[rnd.Intn(len(glyphs))]
			for gy, bits := range g {
				for gx := range 6 {
					if bits>>gx&1 != 0 && y+gy < height {
						o := ((y+gy)*width + x + gx) * 4
						px[o], px[o+1], px[o+2] = ink, ink, ink
					}
				}
			}
		}
		y += 16
	}
	return px
}

func photo(px []byte, width, height, top int, rnd *rand.Rand) {
	fx, fy := 20+rnd.Float64()*60, 20+rnd.Float64()*60
	for y := top; y < min(top+160, height); y++ {
		for x := 40; x < min(440, width); x++ {
			v := 128 + 80*math.Sin(float64(x)/fx)*math.Cos(float64(y)/fy)
			n := float64(rnd.Intn(13) - 6)
			o := (y*width + x) * 4
			px[o], px[o+1], px[o+2] = byte(v+n), byte(220-v/2+n), byte(v/2+60+n)
		}
	}
}

func fill(px []byte, width int, r image.Rectangle, b, g, red byte) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			o := (y*width + x) * 4
			px[o], px[o+1], px[o+2] = b, g, red
		}
	}
}

// PSNR is how near the luma of two pictures of one size is, in dB; 99 is equal.
func PSNR(a, b *image.YCbCr) float64 {
	var sum float64
	r := a.Bounds()
	for y := range r.Dy() {
		for x := range r.Dx() {
			d := float64(a.Y[y*a.YStride+x]) - float64(b.Y[y*b.YStride+x])
			sum += d * d
		}
	}
	if sum == 0 {
		return 99
	}
	return 10 * math.Log10(255*255/(sum/float64(r.Dx()*r.Dy())))
}
