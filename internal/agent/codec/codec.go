package codec

import (
	"errors"
	"fmt"
	"time"
)

// Block is the side in pixels of the squares that damage is told in: the
// macroblock of both codecs.
const Block = 16

// Limits of a picture, in pixels. OpenH264 asks for at least 16; level 5.2 of
// H.264 ends at 4096x2304.
const (
	MinSize = 16
	MaxSize = 4096
)

// ErrSize is a picture size that cannot be encoded.
var ErrSize = errors.New("size cannot be encoded")

// Config is what an encoder is made for.
type Config struct {
	Width, Height int // pixels, even, within MinSize and MaxSize
	Bitrate       int // bits per second, see SetBitrate
}

// Input is one picture to encode.
type Input struct {
	Image *I420
	// Changed has one byte for each block, row by row, not 0 where the picture
	// differs from the one encoded before. nil means everywhere.
	Changed []byte
	// Key asks for a picture that can be decoded by itself.
	Key bool
	// Refine says that nothing moves, and this picture is only to look better:
	// 0 is motion, then 1 to MaxRefine, the last the best.
	Refine int
	// PTS is the picture's time; it grows from call to call.
	PTS time.Duration
}

// MaxRefine is the number of refinement steps.
const MaxRefine = 3

// Encoder makes access units of one codec. It is not safe for concurrent use.
type Encoder interface {
	// Encode returns one whole access unit and whether it is a keyframe. The
	// bytes are the caller's. H.264 is Annex B, with SPS and PPS before an IDR.
	Encode(in Input) (data []byte, key bool, err error)
	// SetBitrate sets the target in bits per second, clamped to MinBitrate and
	// MaxBitrate. It needs no keyframe.
	SetBitrate(bps int) error
	// Close frees the encoder. Calling it again does nothing.
	Close()
}

// Bounds of a target in bits per second. Under the lower one text at 720p never
// becomes readable; the upper one is over what 4K at 60 fps needs.
const (
	MinBitrate = 100_000
	MaxBitrate = 50_000_000
)

// DefaultBitrate is a target for a size in bits per second until the network's
// is known: 6 Mbit/s at 1280x720 (measured: full motion at 60 fps), in
// proportion for others.
func DefaultBitrate(width, height int) int {
	return min(max(6_000_000*(width*height/256)/(1280*720/256), 1_500_000), 16_000_000)
}

func clampBitrate(bps int) int { return min(max(bps, MinBitrate), MaxBitrate) }

func checkSize(w, h int) error {
	if w < MinSize || h < MinSize || w > MaxSize || h > MaxSize || w%2 != 0 || h%2 != 0 {
		return fmt.Errorf("%dx%d: %w", w, h, ErrSize)
	}
	return nil
}

// Blocks is the number of blocks in a row and in a column of a picture.
func Blocks(width, height int) (cols, rows int) {
	return (width + Block - 1) / Block, (height + Block - 1) / Block
}

// checkInput refuses what would make the C code read outside its memory.
func checkInput(cfg Config, in Input) error {
	if in.Image == nil || in.Image.Width != cfg.Width || in.Image.Height != cfg.Height {
		return fmt.Errorf("picture is not %dx%d: %w", cfg.Width, cfg.Height, ErrSize)
	}
	cols, rows := Blocks(cfg.Width, cfg.Height)
	if in.Changed != nil && len(in.Changed) != cols*rows {
		return fmt.Errorf("map of %d blocks for %dx%d blocks: %w", len(in.Changed), cols, rows, ErrSize)
	}
	if in.Refine < 0 || in.Refine > MaxRefine {
		return fmt.Errorf("refinement step %d", in.Refine)
	}
	return nil
}

// pacer turns true time into the time shown to rate control; see doc.go.
type pacer struct {
	last, shown time.Duration
}

// What a frame may count as, at most. 50 ms of 6 Mbit/s is 37 KB, which a
// 20 Mbit/s link carries in 15 ms. A refinement may use all the time since the
// frame before, up to the longest step.
const (
	maxMotionGap = 50 * time.Millisecond
	maxRefineGap = 400 * time.Millisecond
	minGap       = 2 * time.Millisecond
)

func (p *pacer) next(pts time.Duration, refine bool) time.Duration {
	limit := maxMotionGap
	if refine {
		limit = maxRefineGap
	}
	p.shown += min(max(pts-p.last, minGap), limit)
	p.last = pts
	return p.shown
}
