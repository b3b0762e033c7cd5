package session

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of short texts, in bytes.
const (
	maxUserID = 128
	maxRef    = 256
	maxKey    = 255 // of an Idempotency-Key
)

// wrong is the one error of a field: its name, its value, what is allowed.
func wrong(code, field, value, allowed string) *vitrine.Error {
	const shown = 80
	if len(value) > shown {
		value = strings.ToValidUTF8(value[:shown], "") + "…"
	}
	return vitrine.Errorf(vitrine.ClassInvalid, code, "%s is %q; allowed is %s", field, value, allowed).
		WithRemedy("send %s as %s", field, allowed)
}

func wrongNumber(code, field string, value, from, to int) *vitrine.Error {
	return vitrine.Errorf(vitrine.ClassInvalid, code, "%s is %d; allowed is %d to %d", field, value, from, to).
		WithRemedy("send %s from %d to %d, or leave it out", field, from, to)
}

// checkFields holds what a caller sent to its bounds; what needs the host's
// state (image, runtime, room) is checked by others.
func checkFields(n *vitrine.NewSession) error {
	switch {
	case n.ID != "" && !vitrine.ValidID(vitrine.PrefixSession, n.ID):
		return wrong("invalid_id", "id", n.ID, `"ses_" and 26 characters of Crockford's base32, or nothing`)
	case n.Kind != vitrine.KindDesktop && n.Kind != vitrine.KindTerminal:
		return wrong("invalid_kind", "kind", string(n.Kind), `"desktop" or "terminal"`)
	case !printable(n.UserID, maxUserID):
		return wrong("invalid_user_id", "user_id", n.UserID, "at most 128 bytes of printable text")
	case !printable(n.Image, maxRef):
		return wrong("unknown_image", "image", n.Image, "the name or digest of an image")
	case n.MinIsolation != "" && n.MinIsolation.Rank() == 0:
		return wrong("invalid_min_isolation", "min_isolation", string(n.MinIsolation), "none, container, gvisor, emulated-vm or microvm")
	case n.VCPU < 1 || n.VCPU > vitrine.MaxVCPU:
		return wrongNumber("invalid_vcpu", "vcpu", n.VCPU, 1, vitrine.MaxVCPU)
	case n.MemoryMB < 1 || n.MemoryMB > vitrine.MaxMemoryMB:
		return wrongNumber("invalid_memory", "memory_mb", n.MemoryMB, 1, vitrine.MaxMemoryMB)
	case n.Queue != 0 && (n.Queue < vitrine.MinQueue || n.Queue > vitrine.MaxQueue):
		return wrong("invalid_queue", "queue_seconds", n.Queue.String(), "1 second to 1 hour (3600), in whole seconds, or nothing")
	case !printable(n.IdempotencyKey, maxKey):
		return wrong("invalid_idempotency_key", "Idempotency-Key", n.IdempotencyKey, "at most 255 bytes of printable text")
	}
	for _, err := range []error{
		checkViewport(n.Viewport), checkStartURL(n.Kind, n.StartURL), checkMetadata(n.Metadata),
		checkTimeout("invalid_timeout", "timeout_seconds", n.Timeout), checkTimeout("invalid_idle_timeout", "idle_timeout_seconds", n.IdleTimeout),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkViewport(v vitrine.Viewport) error {
	if v.Valid() {
		return nil
	}
	return vitrine.Errorf(vitrine.ClassInvalid, "invalid_viewport", "viewport is %dx%d; allowed is width %d to %d and height %d to %d",
		v.Width, v.Height, vitrine.MinViewportWidth, vitrine.MaxViewportWidth, vitrine.MinViewportHeight, vitrine.MaxViewportHeight).
		WithRemedy("send both width and height within these bounds, or leave viewport out for %dx%d", vitrine.DefaultViewport.Width, vitrine.DefaultViewport.Height)
}

func checkTimeout(code, field string, d time.Duration) error {
	if d == 0 || (d >= time.Second && d <= vitrine.MaxTimeout) {
		return nil
	}
	return wrong(code, field, d.String(), "1 second to 30 days (2592000), in whole seconds")
}

func checkStartURL(kind vitrine.Kind, s string) error {
	const allowed = "an http, https, about: or data: URL of at most 8192 bytes"
	if s == "" {
		return nil
	}
	if kind == vitrine.KindTerminal {
		return wrong("invalid_start_url", "start_url", s, "nothing for a terminal, which has no browser")
	}
	u, err := url.Parse(s)
	if err != nil || len(s) > vitrine.MaxStartURL || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }) {
		return wrong("invalid_start_url", "start_url", s, allowed)
	}
	switch strings.ToLower(u.Scheme) {
	case "about", "data":
		return nil
	case "http", "https":
		if u.Host != "" {
			return nil
		}
	}
	return wrong("invalid_start_url", "start_url", s, allowed)
}

func checkMetadata(m map[string]string) error {
	if len(m) > vitrine.MaxMetadata {
		return vitrine.Errorf(vitrine.ClassInvalid, "invalid_metadata", "metadata has %d entries; allowed is %d", len(m), vitrine.MaxMetadata).
			WithRemedy("keep at most %d entries", vitrine.MaxMetadata)
	}
	for k, v := range m {
		if k == "" || !printable(k, vitrine.MaxMetadataKey) {
			return wrong("invalid_metadata", "a key of metadata", k, "1 to 64 bytes of printable text")
		}
		if len(v) > vitrine.MaxMetadataValue || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return wrong("invalid_metadata", "metadata."+k, v, "at most 1024 bytes of text")
		}
	}
	return nil
}

func printable(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// checkKind holds the wish to the kind that the image says it is of.
func checkKind(n *vitrine.NewSession, img vitrine.Image) error {
	if k := img.Manifest.Kind; k != "" && k != n.Kind {
		return wrong("wrong_image_kind", "image", n.Image, "an image of kind "+string(n.Kind)+" (this one is a "+string(k)+")")
	}
	return nil
}

// checkMemory holds the wish to the least memory of the image in the runtime.
func (c *Config) checkMemory(n *vitrine.NewSession, img vitrine.Image, runtime string) error {
	least := img.Least(runtime)
	if n.MemoryMB >= least || c.BelowMinimum {
		return nil
	}
	f := vitrine.NewFailure(vitrine.FailMemoryBelowMinimum, nil, "memory_mb is %d and the image %s needs at least %d", n.MemoryMB, n.Image, least)
	if _, measured := img.LeastMB[runtime]; measured {
		f.Message += " in " + runtime
	}
	variable := "BROWSER_VM_MEMORY_MB"
	if n.Kind == vitrine.KindTerminal {
		variable = "CLI_VM_MEMORY_MB"
	}
	e := f.AsError().WithRemedy("send memory_mb of %d or more, or leave it out and set %s=%d", least, variable, least)
	e.Failure.Remedy = e.Remedy
	return e
}

// fill puts the defaults where the caller said nothing.
func (c *Config) fill(n *vitrine.NewSession) error {
	if n.Kind == "" {
		n.Kind = vitrine.KindDesktop
	}
	d, ok := c.Defaults[n.Kind]
	if !ok {
		kinds := make([]string, 0, len(c.Defaults))
		for k := range c.Defaults {
			kinds = append(kinds, string(k))
		}
		slices.Sort(kinds)
		return wrong("invalid_kind", "kind", string(n.Kind), strings.Join(kinds, " or "))
	}
	if n.Image == "" {
		n.Image = d.Image
	}
	if n.VCPU == 0 {
		n.VCPU = d.VCPU
	}
	if n.MemoryMB == 0 {
		n.MemoryMB = d.MemoryMB
	}
	if n.Viewport == (vitrine.Viewport{}) {
		n.Viewport = vitrine.DefaultViewport
	}
	if n.Timeout == 0 {
		n.Timeout = d.Timeout
	}
	if n.IdleTimeout == 0 {
		n.IdleTimeout = d.IdleTimeout
	}
	return nil
}
