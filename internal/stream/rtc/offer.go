package rtc

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of what a viewer offers.
const (
	MaxOffer      = 64 << 10 // bytes; browsers' are under 10 KiB
	maxCandidates = 64       // per peer
	maxCandidate  = 512      // bytes
	maxSections   = 8        // m= lines
)

func badOffer(format string, args ...any) *vitrine.Error {
	return vitrine.Errorf(vitrine.ClassInvalid, "bad_offer", format, args...)
}

// readOffer checks an offer, drops the candidates that the node will not
// contact, and picks the codec: the first in the viewer's order that we have.
func (t *Transport) readOffer(offer string) (cleaned string, codec vitrine.Codec, candidates int, err error) {
	if len(offer) > MaxOffer {
		return "", "", 0, vitrine.Errorf(vitrine.ClassTooLarge, "offer_too_large", "the offer has %d bytes, at most %d are taken", len(offer), MaxOffer)
	}
	var b strings.Builder
	for line := range strings.Lines(offer) {
		text := strings.TrimRight(line, "\r\n")
		if c, ok := strings.CutPrefix(text, "a=candidate:"); ok {
			clean, ok := t.candidate(c)
			if !ok || candidates >= maxCandidates {
				continue
			}
			candidates++
			text = "a=candidate:" + clean
		}
		b.WriteString(text)
		b.WriteString("\r\n")
	}
	cleaned = b.String()
	var d sdp.SessionDescription
	if err := d.UnmarshalString(cleaned); err != nil {
		return "", "", 0, badOffer("the offer is not a session description").WithCause(err)
	}
	if len(d.MediaDescriptions) > maxSections {
		return "", "", 0, badOffer("the offer has %d media sections, at most %d are taken", len(d.MediaDescriptions), maxSections)
	}
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "video" {
			continue
		}
		if codec = pick(m); codec != "" {
			return cleaned, codec, candidates, nil
		}
		return "", "", 0, badOffer("the offer's video has neither VP8 nor H.264 (42e01f, packetization-mode 1)").
			WithRemedy("offer VP8, which every browser has")
	}
	return "", "", 0, badOffer("the offer has no video section").WithRemedy("add a recvonly video transceiver before the offer is made")
}

// pick walks the payload types of a section in order (RFC 8866, 5.14: the
// sender's preference).
func pick(m *sdp.MediaDescription) vitrine.Codec {
	names, params := map[string]string{}, map[string]string{}
	for _, a := range m.Attributes {
		pt, rest, _ := strings.Cut(a.Value, " ")
		switch a.Key {
		case "rtpmap":
			names[pt] = strings.ToLower(rest)
		case "fmtp":
			params[pt] = strings.ToLower(rest)
		}
	}
	for _, pt := range m.MediaName.Formats {
		switch names[pt] {
		case "vp8/90000":
			return vitrine.CodecVP8
		case "h264/90000":
			if ourH264(params[pt]) {
				return vitrine.CodecH264
			}
		}
	}
	return ""
}

// ourH264 says whether the format is constrained baseline (profile 42e0) in
// packetization-mode 1: what OpenH264 makes and every browser takes.
func ourH264(fmtp string) bool {
	profile, mode := "", ""
	for p := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch k {
		case "profile-level-id":
			profile = v
		case "packetization-mode":
			mode = v
		}
	}
	return mode == "1" && strings.HasPrefix(profile, "42e0")
}

// candidate checks what follows "candidate:" (RFC 8839, 5.1) and gives it anew
// with the fields that matter, or says that the node will not use it: TCP (the
// viewer comes to us), names (never resolved), addresses not Reachable.
func (t *Transport) candidate(s string) (string, bool) {
	if len(s) > maxCandidate {
		return "", false
	}
	f := strings.Fields(s)
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") || f[6] != "typ" || len(f[0]) > 32 {
		return "", false
	}
	prio, err := strconv.ParseUint(f[3], 10, 32)
	if err != nil || prio == 0 {
		return "", false
	}
	addr, err := netip.ParseAddr(f[4])
	if err != nil || !t.Reachable(addr) {
		return "", false
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil || port == 0 {
		return "", false
	}
	for _, c := range f[0] { // ice-char
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/' {
			return "", false
		}
	}
	out := strings.Join([]string{f[0], "1", "udp", strconv.FormatUint(prio, 10), addr.String(), strconv.FormatUint(port, 10), "typ", f[7]}, " ")
	switch f[7] {
	case "host":
	case "srflx", "prflx", "relay":
		out += " raddr 0.0.0.0 rport 9" // required (RFC 8839), of no use to us
	default:
		return "", false
	}
	return out, true
}
