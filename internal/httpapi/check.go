package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

var (
	userIDForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$`)
	runtimeForm = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	imageForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$`)
)

// invalid is the error of a field that was read but cannot be. The message says
// the field and what is wrong with it, the remedy what would be right.
func invalid(field, wrong string, args ...any) *vitrine.Error {
	return vitrine.Errorf(vitrine.ClassInvalid, "invalid_field", "%s %s", field, fmt.Sprintf(wrong, args...))
}

// newSession checks what a caller asks for and turns it into the service's
// terms. What only the host knows (images, runtimes, room) the service checks.
func newSession(in api.CreateSession, caller vitrine.Principal) (n vitrine.NewSession, err error) {
	if in.ID != "" && !vitrine.ValidID(vitrine.PrefixSession, in.ID) {
		return n, invalid("id", "is not of the form of a session id").
			WithRemedy("leave it out, or use ses_ and 26 characters of 0-9 a-z without i, l, o and u")
	}
	if in.Kind == "" {
		return n, invalid("kind", "is missing").WithRemedy("one of desktop, terminal")
	}
	if in.Kind != vitrine.KindDesktop && in.Kind != vitrine.KindTerminal {
		return n, invalid("kind", "is %q", clip(string(in.Kind), 64)).WithRemedy("one of desktop, terminal")
	}
	if in.UserID == "" {
		in.UserID = caller.UserID
	}
	if err := checkUser(in.UserID); err != nil {
		return n, err
	}
	if in.UserID != caller.UserID && caller.Role != vitrine.RoleAdmin {
		return n, vitrine.Errorf(vitrine.ClassForbidden, "not_your_user", "user %s may not make sessions for user %s", caller.UserID, in.UserID).
			WithRemedy("leave user_id out, or use an admin's key")
	}
	if in.Image != "" && !imageForm.MatchString(in.Image) {
		return n, invalid("image", "is not a name or digest of an image").WithRemedy("take one from GET /v1/images")
	}
	if in.Runtime != "" && !runtimeForm.MatchString(in.Runtime) {
		return n, invalid("runtime", "is not the name of a runtime").WithRemedy("auto, or one from GET /v1/status")
	}
	if in.MinIsolation != "" && in.MinIsolation.Rank() == 0 {
		return n, invalid("min_isolation", "is %q", clip(string(in.MinIsolation), 64)).
			WithRemedy("one of none, container, gvisor, emulated-vm, microvm")
	}
	vcpu, err := number("vcpu", in.VCPU, 1, vitrine.MaxVCPU, "")
	if err != nil {
		return n, err
	}
	memory, err := number("memory_mb", in.MemoryMB, 1, vitrine.MaxMemoryMB, " (MiB)")
	if err != nil {
		return n, err
	}
	queue, err := number("queue_seconds", in.QueueSeconds, 1, int(vitrine.MaxQueue/time.Second), "")
	if err != nil {
		return n, err
	}
	p, err := patchOf(api.UpdateSession{Viewport: in.Viewport, TimeoutSeconds: in.TimeoutSeconds, IdleTimeoutSeconds: in.IdleTimeoutSeconds, Metadata: &in.Metadata})
	if err != nil {
		return n, err
	}
	if err := checkStartURL(in); err != nil {
		return n, err
	}
	n = vitrine.NewSession{
		ID: in.ID, Kind: in.Kind, UserID: in.UserID, Image: in.Image, Runtime: in.Runtime, MinIsolation: in.MinIsolation,
		VCPU: vcpu, MemoryMB: memory, StartURL: in.StartURL, Queue: time.Duration(queue) * time.Second, Metadata: in.Metadata, RequestHash: requestHash(in),
	}
	if p.Viewport != nil {
		n.Viewport = *p.Viewport
	}
	if p.Timeout != nil {
		n.Timeout = *p.Timeout
	}
	if p.IdleTimeout != nil {
		n.IdleTimeout = *p.IdleTimeout
	}
	return n, nil
}

// patchOf checks the fields that a session may also change later.
func patchOf(in api.UpdateSession) (p vitrine.SessionPatch, err error) {
	if v := in.Viewport; v != nil {
		if !v.Valid() {
			return p, invalid("viewport", "is %dx%d", v.Width, v.Height).
				WithRemedy("width %d to %d and height %d to %d pixels", vitrine.MinViewportWidth, vitrine.MaxViewportWidth, vitrine.MinViewportHeight, vitrine.MaxViewportHeight)
		}
		p.Viewport = v
	}
	if p.Timeout, err = timeout("timeout_seconds", in.TimeoutSeconds); err != nil {
		return p, err
	}
	if p.IdleTimeout, err = timeout("idle_timeout_seconds", in.IdleTimeoutSeconds); err != nil {
		return p, err
	}
	if in.Metadata != nil && *in.Metadata != nil {
		p.Metadata = *in.Metadata
		return p, checkMetadata(p.Metadata)
	}
	return p, nil
}

func timeout(field string, v *int64) (*time.Duration, error) {
	if v == nil {
		return nil, nil
	}
	if *v < 0 || *v > int64(vitrine.MaxTimeout/time.Second) {
		return nil, invalid(field, "is %d", *v).WithRemedy("0 (never) to %d seconds", int64(vitrine.MaxTimeout/time.Second))
	}
	d := time.Duration(*v) * time.Second
	return &d, nil
}

func number(field string, v *int, low, high int, unit string) (int, error) {
	if v == nil {
		return 0, nil
	}
	if *v < low || *v > high {
		return 0, invalid(field, "is %d", *v).WithRemedy("a whole number from %d to %d%s", low, high, unit)
	}
	return *v, nil
}

func checkUser(id string) error {
	if !userIDForm.MatchString(id) {
		return invalid("user_id", "is not the name of a user").
			WithRemedy("1 to 128 letters, digits or . _ @ + -, the first a letter or digit")
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	if len(m) > vitrine.MaxMetadata {
		return invalid("metadata", "has %d entries", len(m)).WithRemedy("at most %d", vitrine.MaxMetadata)
	}
	for k, v := range m {
		if k == "" || len(k) > vitrine.MaxMetadataKey {
			return invalid("metadata", "has a name of %d bytes", len(k)).WithRemedy("1 to %d bytes", vitrine.MaxMetadataKey)
		}
		if len(v) > vitrine.MaxMetadataValue {
			return invalid("metadata."+k, "has %d bytes", len(v)).WithRemedy("at most %d bytes", vitrine.MaxMetadataValue)
		}
		if strings.ContainsRune(k+v, 0) {
			return invalid("metadata", "holds a zero byte").WithRemedy("send text")
		}
	}
	return nil
}

// startSchemes are what a browser may be told to open first (api.md): not file:,
// which would show the machine, nor javascript:.
var startSchemes = []string{"http", "https", "about", "data"}

func checkStartURL(in api.CreateSession) error {
	s := in.StartURL
	if s == "" {
		return nil
	}
	if in.Kind != vitrine.KindDesktop {
		return invalid("start_url", "is given for a %s, which has no browser", in.Kind).WithRemedy("leave it out, or ask for kind desktop")
	}
	if len(s) > vitrine.MaxStartURL {
		return invalid("start_url", "has %d bytes", len(s)).WithRemedy("at most %d bytes", vitrine.MaxStartURL)
	}
	scheme, rest, ok := strings.Cut(s, ":")
	scheme = strings.ToLower(scheme)
	good := ok && rest != "" && slices.Contains(startSchemes, scheme) && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	if good && (scheme == "http" || scheme == "https") {
		u, err := url.Parse(s)
		good = err == nil && u.Hostname() != ""
	}
	if !good {
		return invalid("start_url", "is not an address that a browser is given here").
			WithRemedy("an http:, https:, about: or data: URL, such as https://example.com/")
	}
	return nil
}

// requestHash tells a retry from another request under the same key. It is of
// what was understood, not of the bytes: spaces and order do not matter.
func requestHash(in api.CreateSession) string {
	b, err := json.Marshal(in) // maps come sorted
	if err != nil {            // strings and numbers only
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
