package display

import (
	"strings"
	"unicode/utf8"

	"github.com/jezek/xgb/xproto"
)

type keysym = xproto.Keysym

// Keysyms used by name (X11/keysymdef.h).
const (
	symShiftL    keysym = 0xffe1
	symShiftR    keysym = 0xffe2
	symReturn    keysym = 0xff0d
	symTab       keysym = 0xff09
	symBackspace keysym = 0xff08
)

// named are the DOM's named keys (W3C UI Events KeyboardEvent key values). What
// is not here and is not one character is ignored: CapsLock and NumLock because
// a viewer's keys come with them applied, AltGraph for the same reason, Dead
// and Process because the text follows by itself.
var named = map[string]keysym{
	"Backspace": symBackspace, "Tab": symTab, "Enter": symReturn, "Escape": 0xff1b, "Delete": 0xffff,
	"Home": 0xff50, "ArrowLeft": 0xff51, "ArrowUp": 0xff52, "ArrowRight": 0xff53, "ArrowDown": 0xff54,
	"PageUp": 0xff55, "PageDown": 0xff56, "End": 0xff57, "Insert": 0xff63, "ContextMenu": 0xff67,
	"Pause": 0xff13, "ScrollLock": 0xff14, "PrintScreen": 0xff61, "Help": 0xff6a, "Clear": 0xff0b,
	"Shift": symShiftL, "Control": 0xffe3, "Alt": 0xffe9, "Meta": 0xffeb, "OS": 0xffeb, "Super": 0xffeb,
	"F1": 0xffbe, "F2": 0xffbf, "F3": 0xffc0, "F4": 0xffc1, "F5": 0xffc2, "F6": 0xffc3,
	"F7": 0xffc4, "F8": 0xffc5, "F9": 0xffc6, "F10": 0xffc7, "F11": 0xffc8, "F12": 0xffc9,
	"BrowserBack": 0x1008ff26, "BrowserForward": 0x1008ff27, "BrowserRefresh": 0x1008ff29,
	"AudioVolumeMute": 0x1008ff12, "AudioVolumeDown": 0x1008ff11, "AudioVolumeUp": 0x1008ff13,
	"MediaPlayPause": 0x1008ff14,
}

// right are the right-hand keys, which the DOM tells by code only.
var right = map[string]keysym{
	"ShiftRight": symShiftR, "ControlRight": 0xffe4, "AltRight": 0xffea, "MetaRight": 0xffec,
	"NumpadEnter": 0xff8d,
}

// printed is what a US keyboard prints on a code's key: used when a shortcut is
// pressed on a layout without Latin letters.
var printed = map[string]rune{
	"Minus": '-', "Equal": '=', "BracketLeft": '[', "BracketRight": ']', "Backslash": '\\', "Semicolon": ';',
	"Quote": '\'', "Backquote": '`', "Comma": ',', "Period": '.', "Slash": '/', "Space": ' ',
}

// symOfKey is the keysym a key of the DOM means, 0 when none. char says that it
// is a character, so that shift may be set right for it.
func symOfKey(key, code string, shortcut bool) (sym keysym, char bool) {
	if s, ok := named[key]; ok {
		if r, ok := right[code]; ok {
			s = r
		}
		return s, false
	}
	r, n := utf8.DecodeRuneInString(key)
	if n == 0 || n != len(key) || r == utf8.RuneError {
		return 0, false
	}
	if shortcut && r > 0x7e {
		if us, ok := usRune(code); ok {
			r = us
		}
	}
	return symOfRune(r), true
}

func usRune(code string) (rune, bool) {
	if s, ok := strings.CutPrefix(code, "Key"); ok && len(s) == 1 && s[0] >= 'A' && s[0] <= 'Z' {
		return rune(s[0] - 'A' + 'a'), true
	}
	if s, ok := strings.CutPrefix(code, "Digit"); ok && len(s) == 1 && s[0] >= '0' && s[0] <= '9' {
		return rune(s[0]), true
	}
	r, ok := printed[code]
	return r, ok
}

// symOfRune is a character's keysym: Latin-1 is its own, the rest is Unicode
// plus 0x01000000 (X protocol, appendix A). Control characters have none, but
// for line feed and tab, which are keys.
func symOfRune(r rune) keysym {
	switch {
	case r == '\n' || r == '\r':
		return symReturn
	case r == '\t':
		return symTab
	case r >= 0x20 && r <= 0x7e, r >= 0xa0 && r <= 0xff:
		return keysym(r)
	case r < 0x100 || r > utf8.MaxRune || r >= 0xd800 && r < 0xe000:
		return 0
	}
	return keysym(r) + 0x01000000
}
