package display

import (
	"image"

	"github.com/vitrine-dev/vitrine/internal/agent/codec"
)

// maxRects bounds the pieces that one capture fetches. Each is a request and a
// reply; past this, fetching what lies between is cheaper.
const maxRects = 16

// gapBlocks is how many clean blocks in a row are fetched along rather than
// starting another piece.
const gapBlocks = 4

// blocks is a map of a picture's 16x16 blocks: which have changed.
type blocks struct {
	cols, rows int
	bits       []byte // 0 or 1 each, row by row, as codec.Input wants it
	count      int    // of ones
}

func newBlocks(width, height int) *blocks {
	c, r := codec.Blocks(width, height)
	return &blocks{cols: c, rows: r, bits: make([]byte, c*r)}
}

// mark sets the blocks that r, in pixels, touches.
func (b *blocks) mark(r image.Rectangle) {
	x0, x1 := max(r.Min.X/codec.Block, 0), min((r.Max.X+codec.Block-1)/codec.Block, b.cols)
	y0, y1 := max(r.Min.Y/codec.Block, 0), min((r.Max.Y+codec.Block-1)/codec.Block, b.rows)
	for y := y0; y < y1; y++ {
		row := b.bits[y*b.cols : (y+1)*b.cols]
		for x := x0; x < x1; x++ {
			if row[x] == 0 {
				row[x] = 1
				b.count++
			}
		}
	}
}

func (b *blocks) fill() {
	for i := range b.bits {
		b.bits[i] = 1
	}
	b.count = len(b.bits)
}

func (b *blocks) clear() {
	clear(b.bits)
	b.count = 0
}

// add sets what is set in o, a map of the same size.
func (b *blocks) add(o *blocks) {
	if o.count == 0 {
		return
	}
	for i, v := range o.bits {
		if v != 0 && b.bits[i] == 0 {
			b.bits[i] = 1
			b.count++
		}
	}
}

// rects covers the set blocks by at most maxRects rectangles in pixels, within
// bounds.
func (b *blocks) rects(bounds image.Rectangle) []image.Rectangle {
	if b.count == 0 {
		return nil
	}
	list := b.cover(gapBlocks)
	if len(list) > maxRects {
		list = b.cover(b.cols) // one piece a row
	}
	if len(list) > maxRects {
		var all image.Rectangle
		for _, r := range list {
			all = all.Union(r)
		}
		list = []image.Rectangle{all}
	}
	out := list[:0]
	for _, r := range list {
		r = image.Rectangle{r.Min.Mul(codec.Block), r.Max.Mul(codec.Block)}.Intersect(bounds)
		if !r.Empty() {
			out = append(out, r)
		}
	}
	return out
}

// cover makes rectangles, in blocks, of runs with at most gap clean blocks in
// between; equal runs in rows below each other are one.
func (b *blocks) cover(gap int) []image.Rectangle {
	var list []image.Rectangle
	for y := range b.rows {
		row := b.bits[y*b.cols : (y+1)*b.cols]
		for x := 0; x < b.cols; x++ {
			if row[x] == 0 {
				continue
			}
			end := x + 1
			for k := end; k < b.cols && k-end <= gap; k++ {
				if row[k] != 0 {
					end = k + 1
				}
			}
			list = join(list, image.Rect(x, y, end, y+1))
			x = end
		}
	}
	return list
}

func join(list []image.Rectangle, r image.Rectangle) []image.Rectangle {
	for i := len(list) - 1; i >= 0; i-- {
		l := &list[i]
		if l.Max.Y == r.Min.Y && l.Min.X == r.Min.X && l.Max.X == r.Max.X {
			l.Max.Y = r.Max.Y
			return list
		}
	}
	return append(list, r)
}
