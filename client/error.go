package client

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
)

// told is vitrine.Error under a name that may be embedded beside a method Error.
type told = vitrine.Error

// Error is what the daemon refused or could not do: a *vitrine.Error, which
// errors.As finds in it, and where to look for more.
type Error struct {
	*told
	Status    int    // HTTP
	RequestID string // in the daemon's log
	SessionID string // of a session that failed to start
}

// Error gives the message, without the code, as a person wants it.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the domain's error.
func (e *Error) Unwrap() error { return e.told }

// classes is the way back from a status, where it says one class only; 503 is
// told apart by the code.
var classes = map[int]vitrine.Class{
	http.StatusBadRequest:            vitrine.ClassMalformed,
	http.StatusUnauthorized:          vitrine.ClassUnauthorized,
	http.StatusForbidden:             vitrine.ClassForbidden,
	http.StatusNotFound:              vitrine.ClassNotFound,
	http.StatusMethodNotAllowed:      vitrine.ClassMalformed,
	http.StatusConflict:              vitrine.ClassConflict,
	http.StatusRequestEntityTooLarge: vitrine.ClassTooLarge,
	http.StatusUnsupportedMediaType:  vitrine.ClassMalformed,
	http.StatusUnprocessableEntity:   vitrine.ClassInvalid,
	http.StatusTooManyRequests:       vitrine.ClassRateLimited,
	http.StatusBadGateway:            vitrine.ClassFailed,
	http.StatusServiceUnavailable:    vitrine.ClassUnavailable,
	http.StatusGatewayTimeout:        vitrine.ClassTimeout,
}

// readError makes an Error of a reply; of one that is not the daemon's (a
// proxy's page), it says so.
func readError(resp *http.Response, body []byte) *Error {
	class, ok := classes[resp.StatusCode]
	if !ok {
		class = vitrine.ClassInternal
	}
	var in api.Error
	if err := json.Unmarshal(body, &in); err != nil || in.Error.Code == "" {
		return &Error{Status: resp.StatusCode, told: vitrine.Errorf(class, "unexpected_reply",
			"the address answered %s, and not as Vitrine does", resp.Status).WithRemedy("check the daemon's address, and what stands before it")}
	}
	d := in.Error
	if d.Code == string(vitrine.FailHostNoCapacity) || d.Code == string(vitrine.FailHostDiskFull) {
		class = vitrine.ClassNoCapacity
	}
	return &Error{
		Status: resp.StatusCode, RequestID: d.RequestID, SessionID: d.SessionID,
		told: &vitrine.Error{Class: class, Code: d.Code, Message: d.Message, Remedy: d.Remedy,
			Retryable: d.Retryable, RetryAfter: seconds(resp.Header), Failure: d.Failure},
	}
}

// String is for logs: code, message and the request to look for.
func (e *Error) String() string {
	return fmt.Sprintf("%s: %s (request %s)", e.Code, e.Message, e.RequestID)
}
