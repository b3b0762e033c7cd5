package display

import (
	"image"
	"math/rand"
	"testing"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// run plays a pace against changes at the given times and returns what was
// sent when. Each frame has size bytes.
func runPace(changes []time.Duration, size, bitrate int, until time.Duration) (kinds []kind, at []time.Duration) {
	zero := time.Unix(1000, 0)
	var p pace
	p.took(kindKey, false, zero, size, bitrate)
	now := zero
	var since time.Time
	for {
		for len(changes) > 0 && !zero.Add(changes[0]).After(now) {
			if since.IsZero() {
				since = zero.Add(changes[0])
			}
			changes = changes[1:]
		}
		k, due := p.due(since, false)
		if len(changes) > 0 {
			if c := zero.Add(changes[0]); c.Before(due) {
				now = c
				continue
			}
		}
		now = latest(now, due)
		if now.Sub(zero) > until {
			return kinds, at
		}
		if k == kindMotion {
			since = time.Time{}
		}
		p.took(k, false, now, size, bitrate)
		kinds, at = append(kinds, k), append(at, now.Sub(zero))
	}
}

func TestStillScreenIsRefinedThriceThenOnlyBeats(t *testing.T) {
	kinds, at := runPace(nil, 100, 1_000_000, 7*time.Second)
	want := []kind{kindRefine, kindRefine, kindRefine, kindBeat, kindBeat, kindBeat}
	if len(kinds) != len(want) {
		t.Fatalf("%v at %v", kinds, at)
	}
	for i, k := range want {
		if kinds[i] != k {
			t.Fatalf("%v at %v", kinds, at)
		}
		if i < 3 && at[i] != refineAfter[i] {
			t.Errorf("refinement %d at %s", i, at[i])
		}
		if i > 3 && at[i]-at[i-1] != agentproto.HeartbeatInterval {
			t.Errorf("beats at %v", at)
		}
	}
}

func TestFirstChangeAfterStillnessWaitsAMillisecond(t *testing.T) {
	kinds, at := runPace([]time.Duration{3 * time.Second}, 100, 1_000_000, 3050*time.Millisecond)
	if k := kinds[len(kinds)-1]; k != kindMotion || at[len(at)-1] != 3*time.Second+coalesce {
		t.Errorf("%v at %v", kinds, at)
	}
}

func TestSixtyHertzWithJitterKeepsSixtyFrames(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	var changes []time.Duration
	for i := range 600 {
		changes = append(changes, time.Second/60*time.Duration(i)+time.Duration(rnd.Intn(4000))*time.Microsecond)
	}
	kinds, _ := runPace(changes, 100, 1_000_000, 10*time.Second)
	n := 0
	for _, k := range kinds {
		if k == kindMotion {
			n++
		}
	}
	if n < 595 {
		t.Errorf("%d frames in 10 s", n)
	}
}

func TestEndlessDamageIsNoMoreThanSixtyFrames(t *testing.T) {
	var changes []time.Duration
	for i := range 20_000 {
		changes = append(changes, time.Duration(i)*500*time.Microsecond)
	}
	if kinds, _ := runPace(changes, 100, 1_000_000, 10*time.Second); len(kinds) > 615 {
		t.Errorf("%d frames in 10 s", len(kinds))
	}
}

func TestBigFramesComeLessOften(t *testing.T) {
	var changes []time.Duration
	for i := range 600 {
		changes = append(changes, time.Second/60*time.Duration(i))
	}
	kinds, _ := runPace(changes, 20_000, 1_000_000, 10*time.Second) // 60 of them are 9.6 Mbit/s
	if n := len(kinds); n < 60 || n > 110 {
		t.Errorf("%d frames of 20 KB in 10 s at 1 Mbit/s", n)
	}
}

func TestEveryDamagedBlockIsFetchedAndLittleElse(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for _, s := range [][2]int{{1280, 720}, {320, 240}, {390, 844}, {3840, 2160}, {16, 16}} {
		bounds := image.Rect(0, 0, s[0], s[1])
		for n := range 40 {
			b := newBlocks(s[0], s[1])
			for range n * n {
				p := image.Pt(rnd.Intn(s[0]+40)-20, rnd.Intn(s[1]+40)-20)
				b.mark(image.Rectangle{p, p.Add(image.Pt(1+rnd.Intn(60), 1+rnd.Intn(20)))})
			}
			rects := b.rects(bounds)
			if len(rects) > maxRects {
				t.Fatalf("%d pieces", len(rects))
			}
			cover := newBlocks(s[0], s[1])
			for _, r := range rects {
				if r.Empty() || !r.In(bounds) || (r.Min.X|r.Min.Y|r.Dx()|r.Dy())&1 != 0 {
					t.Fatalf("piece %v of %v", r, bounds)
				}
				cover.mark(r)
			}
			count := 0
			for i, v := range b.bits {
				count += int(v)
				if v != 0 && cover.bits[i] == 0 {
					t.Fatalf("block %d of %v is not fetched", i, s)
				}
			}
			if count != b.count {
				t.Fatalf("count %d, is %d", b.count, count)
			}
		}
	}
	b := newBlocks(1280, 720)
	b.mark(image.Rect(0, 0, 10, 10))
	b.mark(image.Rect(1200, 700, 1280, 720))
	if r := b.rects(image.Rect(0, 0, 1280, 720)); len(r) != 2 || r[0] != image.Rect(0, 0, 16, 16) {
		t.Errorf("two corners are fetched as %v", r)
	}
}
