package hub

import (
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of input beyond those of the domain.
const (
	maxButtons = 31    // the DOM's mask: left, right, middle, back, forward
	maxWheel   = 12000 // a hundred notches at once
)

func badInput(format string, args ...any) error {
	return vitrine.Errorf(vitrine.ClassInvalid, "bad_input", format, args...)
}

// check holds one act of a viewer to its bounds and gives it with only the
// fields that count; positions are put inside the desktop.
func check(in vitrine.Input, desktop vitrine.Viewport) (vitrine.Input, error) {
	x := min(max(in.X, 0), desktop.Width-1)
	y := min(max(in.Y, 0), desktop.Height-1)
	switch in.Type {
	case vitrine.InputPointer:
		if in.Buttons < 0 || in.Buttons > maxButtons {
			return in, badInput("buttons %d is not a mask of five", in.Buttons)
		}
		return vitrine.Input{Type: in.Type, X: x, Y: y, Buttons: in.Buttons}, nil
	case vitrine.InputWheel:
		return vitrine.Input{
			Type: in.Type, X: x, Y: y,
			DX: min(max(in.DX, -maxWheel), maxWheel), DY: min(max(in.DY, -maxWheel), maxWheel),
		}, nil
	case vitrine.InputKey:
		if in.Key == "" && in.Code == "" || !name(in.Key) || !name(in.Code) {
			return in, badInput("a key has a name of at most %d printable bytes", vitrine.MaxInputKey)
		}
		return vitrine.Input{Type: in.Type, Key: in.Key, Code: in.Code, Down: in.Down}, nil
	case vitrine.InputText:
		if len(in.Text) > vitrine.MaxInputText || !utf8.ValidString(in.Text) {
			return in, badInput("text of %d bytes, at most %d are typed at once; paste it instead", len(in.Text), vitrine.MaxInputText)
		}
		return vitrine.Input{Type: in.Type, Text: in.Text}, nil
	case vitrine.InputRelease:
		return vitrine.Input{Type: in.Type}, nil
	case vitrine.InputClipboard:
		if len(in.Text) > vitrine.MaxInputClipboard || !utf8.ValidString(in.Text) {
			return in, badInput("a clipboard of %d bytes, at most %d are taken", len(in.Text), vitrine.MaxInputClipboard)
		}
		return vitrine.Input{Type: in.Type, Text: in.Text}, nil
	case vitrine.InputResize:
		return vitrine.Input{
			Type:   in.Type,
			Width:  min(max(in.Width, vitrine.MinViewportWidth), vitrine.MaxViewportWidth),
			Height: min(max(in.Height, vitrine.MinViewportHeight), vitrine.MaxViewportHeight),
		}, nil
	}
	return in, badInput("there is no such input")
}

func name(s string) bool {
	if len(s) > vitrine.MaxInputKey || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
