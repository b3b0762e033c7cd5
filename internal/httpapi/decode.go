package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of bodies, in bytes.
const (
	maxBody     = 64 << 10
	maxExecBody = 2 << 20
)

// decode reads a JSON body into v strictly: one value, names as they are
// written, each once, none unknown.
func decode(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	b, err := readBody(w, r, limit, "application/json")
	if err != nil {
		return err
	}
	return decodeBytes(b, v)
}

// readBody reads a body of one media type whole, within its bound and in time.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, want string) ([]byte, error) {
	given := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(given); err != nil || media != want {
		return nil, vitrine.Errorf(classContentType, "unsupported_content_type", "the body's content type is %q", clip(given, 100)).
			WithRemedy("send Content-Type: %s", want)
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime)) // not every writer can; the test recorder cannot
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return nil, vitrine.Errorf(vitrine.ClassTooLarge, "body_too_large", "the body is larger than %d bytes", limit).
			WithRemedy("send less; the bound is %d bytes", limit)
	}
	if err != nil {
		return nil, vitrine.Errorf(vitrine.ClassMalformed, "body_unreadable", "the body did not arrive whole").
			WithRemedy("send it again").WithCause(err)
	}
	return b, nil
}

// decodeBytes is decode after the body was read. Its errors name the field.
func decodeBytes(b []byte, v any) error {
	if len(strings.TrimSpace(string(b[:min(len(b), 64)]))) == 0 && len(b) <= 64 {
		return vitrine.Errorf(vitrine.ClassMalformed, "empty_body", "the body is empty").
			WithRemedy("send a JSON object")
	}
	err := json.Unmarshal(b, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	var sem *json.SemanticError
	if errors.As(err, &sem) {
		field := fieldName(sem.JSONPointer)
		if errors.Is(sem.Err, json.ErrUnknownName) {
			return vitrine.Errorf(vitrine.ClassMalformed, "unknown_field", "there is no field %q", field).
				WithRemedy("leave it out, or look up its name in api/openapi.yaml (names are case-sensitive)")
		}
		want := expected(sem.GoType)
		if field == "" {
			return vitrine.Errorf(vitrine.ClassMalformed, "wrong_type", "the body must be %s, not %s", want, given(sem.JSONKind)).
				WithRemedy("send a JSON object")
		}
		return vitrine.Errorf(vitrine.ClassMalformed, "wrong_type", "the field %q must be %s, not %s", field, want, givenValue(sem)).
			WithRemedy("send %s for %q", want, field)
	}
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return vitrine.Errorf(vitrine.ClassMalformed, "repeated_field", "the field %q is given twice", fieldName(syn.JSONPointer)).
				WithRemedy("give it once")
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return vitrine.Errorf(vitrine.ClassMalformed, "invalid_json", "the body ends in the middle of a JSON value").
				WithRemedy("send the whole of it")
		}
		return vitrine.Errorf(vitrine.ClassMalformed, "invalid_json", "the body is not one JSON value: the fault is at byte %d", syn.ByteOffset).
			WithRemedy("send one JSON object and nothing after it, in UTF-8")
	}
	return vitrine.Errorf(vitrine.ClassMalformed, "invalid_json", "the body is not valid JSON").
		WithRemedy("send one JSON object").WithCause(err)
}

// fieldName turns a JSON pointer into the way people write it: viewport.width,
// command[0].
func fieldName(p jsontext.Pointer) string {
	var sb strings.Builder
	for token := range p.Tokens() {
		switch {
		case token != "" && strings.Trim(token, "0123456789") == "" && sb.Len() > 0:
			sb.WriteString("[" + token + "]")
		case sb.Len() > 0:
			sb.WriteString("." + token)
		default:
			sb.WriteString(token)
		}
	}
	return clip(sb.String(), 128)
}
