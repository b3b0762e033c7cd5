package vitrine

import (
	"errors"
	"fmt"
	"time"
)

// Class is the kind of an error: what a caller can do about it. The HTTP layer
// has one table from class to status; nothing else maps errors to statuses.
type Class string

// The classes. A failure of a machine is ClassFailed and carries its Failure.
const (
	ClassInvalid      Class = "invalid"      // the request is wrong as it stands: 422
	ClassMalformed    Class = "malformed"    // the request cannot be read: 400
	ClassUnauthorized Class = "unauthorized" // no valid credential: 401
	ClassForbidden    Class = "forbidden"    // a valid credential without the right: 403
	ClassNotFound     Class = "not_found"    // no such thing, or not the caller's: 404
	ClassConflict     Class = "conflict"     // the thing is in a state that refuses this: 409
	ClassTooLarge     Class = "too_large"    // a body or field over its bound: 413
	ClassRateLimited  Class = "rate_limited" // 429 + Retry-After
	ClassNoCapacity   Class = "no_capacity"  // the host has no room now: 503 + Retry-After
	ClassFailed       Class = "failed"       // a machine failed: 502, with the failure's code
	ClassUnavailable  Class = "unavailable"  // a part we need does not answer: 503
	ClassInternal     Class = "internal"     // a fault of ours: 500, details in the log only
	ClassTimeout      Class = "timeout"      // a deadline passed: 504
)

// Error is the one error that may cross an API boundary. Message is plain words
// for a person, with the numbers; Remedy is what to type or change. Neither ever
// holds a secret or a path of the host. Err is the cause, for the log only.
type Error struct {
	Class      Class
	Code       string // stable, machine readable; a failure code or a name such as "unknown_field"
	Message    string
	Remedy     string
	Retryable  bool
	RetryAfter time.Duration // 0: not said
	Failure    *Failure      // set for ClassFailed
	Err        error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return e.Code + ": " + e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a class with a code and a message.
func Errorf(class Class, code, format string, args ...any) *Error {
	return &Error{Class: class, Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithRemedy returns e with its remedy set.
func (e *Error) WithRemedy(format string, args ...any) *Error {
	e.Remedy = fmt.Sprintf(format, args...)
	return e
}

// WithCause returns e with its cause set.
func (e *Error) WithCause(err error) *Error {
	e.Err = err
	return e
}

// ClassOf gives the class of err: ClassInternal for one that is not an Error.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassInternal
}

// NotFound is the error for a thing that does not exist or is not the caller's.
func NotFound(what, id string) *Error {
	return Errorf(ClassNotFound, "not_found", "there is no %s %s", what, id).
		WithRemedy("list what there is with `vitrine session list`")
}
