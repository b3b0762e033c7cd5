package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// EventOptions says which events to follow.
type EventOptions struct {
	// SessionID is one session's; "" is all that the caller may see.
	SessionID string
	// After is the id of the last event seen: what comes after it is given. nil
	// begins with what happens next; 0 gives all that is kept first.
	After *int64
}

// Times of an event stream.
const (
	silence  = 45 * time.Second // three keepalives missed: the connection is dead
	maxPause = 5 * time.Second
	maxEvent = 1 << 20 // bytes of one line
)

// Events follows events until ctx ends. A connection that breaks is made again
// right after the last event seen. It ends by itself only at a refusal (not the
// caller's session, a key that was deleted), which it gives as its error.
func (c *Client) Events(ctx context.Context, o EventOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		path, last := "/v1/events", ""
		if o.SessionID != "" {
			path = sessionPath(o.SessionID, "/events")
		}
		if o.After != nil {
			last = strconv.FormatInt(*o.After, 10)
		}
		for n := 0; ctx.Err() == nil; n++ {
			before := last
			err := c.stream(ctx, path, &last, func(e Event) bool { return yield(e, nil) })
			var e *Error
			switch {
			case errors.Is(err, errStopped):
				return
			case errors.As(err, &e) && e.Status < 500 && e.Class != vitrine.ClassRateLimited:
				yield(Event{}, err)
				return
			}
			if last != before {
				n = 0
			}
			select {
			case <-ctx.Done():
			case <-time.After(min(100*time.Millisecond<<min(n, 10), maxPause)):
			}
		}
	}
}

// errStopped is the consumer's wish to hear no more.
var errStopped = errors.New("stopped")

// stream reads one connection until it breaks; last follows the ids.
func (c *Client) stream(ctx context.Context, path string, last *string, give func(Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := time.AfterFunc(silence, cancel)
	defer watch.Stop()
	r := request{method: http.MethodGet, path: path, query: url.Values{}, header: http.Header{"Accept": {"text/event-stream"}}}
	if *last != "" {
		r.header.Set("Last-Event-ID", *last)
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if ct := resp.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") {
		return readError(resp, nil)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	var data strings.Builder
	id := *last
	for lines.Scan() {
		watch.Reset(silence)
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "data":
			if data.Len()+len(value) > maxEvent {
				return fmt.Errorf("an event is longer than %d bytes", maxEvent)
			}
			data.WriteString(value)
		case "": // a blank line ends an event; a comment has a value
			if lines.Text() != "" {
				continue
			}
			if data.Len() > 0 {
				var e Event
				if err := json.Unmarshal([]byte(data.String()), &e); err != nil {
					return fmt.Errorf("reading event %s: %w", id, err)
				}
				data.Reset()
				*last = id
				if !give(e) {
					return errStopped
				}
			}
			*last = id
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
