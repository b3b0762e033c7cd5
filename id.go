package vitrine

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// Ids are opaque, prefixed and sortable by time of making: a three-letter
// prefix, an underscore, and 26 characters of lower-case Crockford base32 that
// hold 48 bits of Unix milliseconds and 80 random bits (the layout of a ULID).
const (
	PrefixSession = "ses"
	PrefixMachine = "mch"
	PrefixTicket  = "tkt"
	PrefixKey     = "key"
	PrefixViewer  = "vwr"
	PrefixRequest = "req"
)

// idLetters is Crockford's alphabet: no i, l, o or u, so an id read aloud or
// typed by hand is not mistaken for another.
const idLetters = "0123456789abcdefghjkmnpqrstvwxyz"

var idEncoding = base32.NewEncoding(idLetters).WithPadding(base32.NoPadding)

const idBodyLen = 26

// NewID makes an id with the given prefix whose order follows now.
func NewID(prefix string, now time.Time) string {
	var b [16]byte
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	_, _ = rand.Read(b[6:]) // crypto/rand.Read never fails (Go 1.24)
	return prefix + "_" + idEncoding.EncodeToString(b[:])
}

// ValidID says whether s has the form of an id with this prefix. It does not
// say that such a thing exists.
func ValidID(prefix, s string) bool {
	body, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(body) != idBodyLen {
		return false
	}
	for i := 0; i < len(body); i++ {
		if strings.IndexByte(idLetters, body[i]) < 0 {
			return false
		}
	}
	return true
}
