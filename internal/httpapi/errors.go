package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// Two classes that only HTTP knows.
const (
	classMethod      vitrine.Class = "method_not_allowed"
	classContentType vitrine.Class = "unsupported_content_type"
)

// statuses is the one table from an error's class to a status.
var statuses = map[vitrine.Class]int{
	vitrine.ClassMalformed:    http.StatusBadRequest,
	vitrine.ClassUnauthorized: http.StatusUnauthorized,
	vitrine.ClassForbidden:    http.StatusForbidden,
	vitrine.ClassNotFound:     http.StatusNotFound,
	classMethod:               http.StatusMethodNotAllowed,
	vitrine.ClassConflict:     http.StatusConflict,
	vitrine.ClassTooLarge:     http.StatusRequestEntityTooLarge,
	classContentType:          http.StatusUnsupportedMediaType,
	vitrine.ClassInvalid:      http.StatusUnprocessableEntity,
	vitrine.ClassRateLimited:  http.StatusTooManyRequests,
	vitrine.ClassInternal:     http.StatusInternalServerError,
	vitrine.ClassFailed:       http.StatusBadGateway,
	vitrine.ClassNoCapacity:   http.StatusServiceUnavailable,
	vitrine.ClassUnavailable:  http.StatusServiceUnavailable,
	vitrine.ClassTimeout:      http.StatusGatewayTimeout,
}

// retryAfter is said where the error itself does not say when: room comes back
// when a session ends, and nobody knows when that is.
const retryAfter = 15 * time.Second

// sessionError is an error about a session that the caller has just made.
type sessionError struct {
	err error
	id  string
}

func (e *sessionError) Error() string { return e.id + ": " + e.err.Error() }
func (e *sessionError) Unwrap() error { return e.err }

// toError finds what may be shown of err; what is not one of ours becomes a
// fault of ours without details.
func toError(err error) *vitrine.Error {
	var e *vitrine.Error
	if errors.As(err, &e) {
		return e
	}
	var f *vitrine.Failure
	if errors.As(err, &f) {
		return f.AsError()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return vitrine.Errorf(vitrine.ClassTimeout, "deadline_exceeded", "it took too long and was given up").
			WithRemedy("try again; if it stays, run `vitrine doctor`").WithCause(err)
	}
	return vitrine.Errorf(vitrine.ClassInternal, "internal", "something went wrong inside the daemon").
		WithRemedy("look for the request id in the daemon's log").WithCause(err)
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody is there to read it
	}
	e := toError(err)
	status, ok := statuses[e.Class]
	if !ok {
		status = http.StatusInternalServerError
	}
	detail := api.ErrorDetail{
		Code: e.Code, Message: e.Message, Remedy: e.Remedy, Retryable: e.Retryable || e.Class == vitrine.ClassRateLimited,
		RequestID: requestID(r.Context()), Failure: fromFailure(e.Failure),
	}
	var se *sessionError
	if errors.As(err, &se) {
		detail.SessionID = se.id
	}
	if status >= 500 {
		s.log.Log(r.Context(), levelOf(e.Class), "request failed", "request", detail.RequestID,
			"method", r.Method, "path", clip(r.URL.Path, 256), "code", e.Code, "error", err)
	}
	after := e.RetryAfter
	if after <= 0 && (e.Class == vitrine.ClassNoCapacity || e.Class == vitrine.ClassRateLimited) {
		after = retryAfter
	}
	if after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	if e.Class == vitrine.ClassUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="vitrine"`)
	}
	reply(w, status, api.Error{Error: detail})
}

func levelOf(c vitrine.Class) slog.Level {
	if c == vitrine.ClassInternal {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // our own types: a fault of the program
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the caller may be gone
}

// clip bounds what a caller sent before it is quoted.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
