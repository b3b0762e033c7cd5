package api

import "github.com/vitrine-dev/vitrine"

// Error is the body of every reply that is not a success.
type Error struct {
	Error ErrorDetail `json:"error"`
}

// ErrorDetail is what went wrong. SessionID and Failure are set when a session
// failed to start while its caller waited.
type ErrorDetail struct {
	Code      string           `json:"code"`
	Message   string           `json:"message"`
	Remedy    string           `json:"remedy"`
	Retryable bool             `json:"retryable"`
	RequestID string           `json:"request_id"`
	SessionID string           `json:"session_id,omitempty"`
	Failure   *vitrine.Failure `json:"failure,omitempty"`
}
