package media

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// tell passes keyframe requests and bitrates on to an encoder: from a goroutine
// of its own, because a stuck machine blocks the call.
func (s *Source) tell(video vitrine.Video, done <-chan struct{}) {
	told := 0
	for {
		s.mu.Lock()
		key, rate := s.wantKey, s.bitrate
		s.wantKey = false
		s.mu.Unlock()
		if rate != 0 && rate != told {
			if err := video.SetBitrate(rate); err != nil {
				return // ReadFrame will say why
			}
			told = rate
		}
		if key {
			if err := video.RequestKeyframe(); err != nil {
				return
			}
		}
		select {
		case <-done:
			return
		case <-s.wake:
		}
	}
}

func (s *Source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// requestKey asks for a keyframe now, or at the end of the interval in which
// one was already asked for. Called with the lock held.
func (s *Source) requestKey() {
	if s.closed || s.keyWait != nil {
		return
	}
	if wait := keyframeInterval - time.Since(s.lastKey); wait > 0 {
		s.keyWait = time.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.keyWait != nil {
				s.keyWait = nil
				s.fireKey()
			}
		})
		return
	}
	s.fireKey()
}

func (s *Source) fireKey() {
	if s.video == nil {
		return // an encoder begins with a keyframe
	}
	s.lastKey, s.wantKey = time.Now(), true
	s.stats.Keyframes++
	s.poke()
}

// retarget sets the encoder's target to what the slowest viewer's line takes.
// Steps under 4 % are not worth telling.
func (s *Source) retarget() {
	rate := 0
	for t := range s.taps {
		if t.started && t.limit > 0 && (rate == 0 || t.limit < rate) {
			rate = t.limit
		}
	}
	if rate == 0 {
		return
	}
	rate = min(max(rate, MinBitrate), MaxBitrate)
	step := rate - s.bitrate
	if step < 0 {
		step = -step
	}
	if s.bitrate == 0 || step*25 >= s.bitrate || rate == MinBitrate || rate == MaxBitrate {
		if rate != s.bitrate {
			s.bitrate = rate
			s.poke()
		}
	}
}
