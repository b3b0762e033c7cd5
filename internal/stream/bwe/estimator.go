package bwe

import (
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// twccURI names the RTP header extension that numbers packets for feedback.
const twccURI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

// Config bounds an estimate, in bits per second. OnChange is called, without a
// lock held, from the goroutine that read the feedback.
type Config struct {
	Initial, Min, Max int
	OnChange          func(bps int)
	Now               func() time.Time // nil: time.Now
}

// Estimator is one viewer's estimate. It is safe for concurrent use.
type Estimator struct {
	now   func() time.Time
	start time.Time

	mu       sync.Mutex
	history  history
	ctl      *controller
	told     int
	onChange func(int)
}

// New makes an estimator.
func New(cfg Config) *Estimator {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Estimator{
		now: cfg.Now, start: cfg.Now(), ctl: newController(cfg.Initial, cfg.Min, cfg.Max),
		told: cfg.Initial, onChange: cfg.OnChange,
	}
}

// AddStream notes every packet on its way out.
func (e *Estimator) AddStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	var id uint8
	for _, ext := range info.RTPHeaderExtensions {
		if ext.URI == twccURI {
			id = uint8(ext.ID) // RFC 8285 ids are 1..255
		}
	}
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if id != 0 {
			var tcc rtp.TransportCCExtension
			if raw := h.GetExtension(id); raw != nil && tcc.Unmarshal(raw) == nil {
				e.onSent(tcc.TransportSequence, h.MarshalSize()+len(payload))
			}
		}
		return next.Write(h, payload, a)
	})
}

func (e *Estimator) onSent(seq uint16, size int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.now().Sub(e.start)
	e.history.onSent(seq, at, size)
	e.ctl.sent.add(at, size)
}

// WriteRTCP takes the viewer's feedback.
func (e *Estimator) WriteRTCP(packets []rtcp.Packet, _ interceptor.Attributes) error {
	for _, p := range packets {
		if fb, ok := p.(*rtcp.TransportLayerCC); ok {
			e.onFeedback(fb)
		}
	}
	return nil
}

func (e *Estimator) onFeedback(fb *rtcp.TransportLayerCC) {
	e.mu.Lock()
	e.ctl.onFeedback(e.now().Sub(e.start), e.history.acks(fb))
	rate := int(e.ctl.estimate)
	tell := e.onChange
	if rate == e.told {
		tell = nil
	}
	e.told = rate
	e.mu.Unlock()
	if tell != nil {
		tell(rate)
	}
}

// GetTargetBitrate is the estimate in bits per second.
func (e *Estimator) GetTargetBitrate() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int(e.ctl.estimate)
}

// OnTargetBitrateChange replaces Config.OnChange.
func (e *Estimator) OnTargetBitrateChange(f func(bps int)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.onChange = f
}

// GetStats gives figures for a person: loss 0..1 and the standing queue.
func (e *Estimator) GetStats() map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	return map[string]any{"loss": e.ctl.loss, "queue_ms": float64(e.ctl.queue.Microseconds()) / 1000}
}

// Close has nothing to give back.
func (e *Estimator) Close() error { return nil }
