// Package httpapi is the HTTP face of the daemon: it lets callers in, reads what
// they ask, calls the session service or the streams, and answers in the form
// that api/openapi.yaml lays down.
//
// A request goes through, in this order: a request id, the log and the recovery
// from panics (middleware.go); security headers; the route (routes.go); the
// guard against foreign pages (origin.go); who is calling (identity.go); the
// limit per caller (limit.go); may they (access.go); the handler. Handlers give
// errors back, and errors.go holds the one table from an error's class to a
// status. JSON is read strictly (decode.go): a name that the contract does not
// know, a wrong type, a name given twice or bytes after the value are each
// refused with the field's name.
//
// Who may call a route is data: the access word of its row in routes.go, the
// same word as x-access in openapi.yaml. Tests hold rows and contract together
// and try every route as every kind of caller.
//
// The package imports the domain, the contract's types (api) and its own
// third-party libraries; never a sibling. It holds no state that has to survive
// the process: keys, tickets and logins are in the AuthStore, as hashes. It must
// not decide about sessions (that is the service's), must not speak WebRTC or RFB
// (that is the streams'), and must not put a secret into a log line, an error or
// a URL's path or query that it logs: the request log has paths only.
package httpapi
