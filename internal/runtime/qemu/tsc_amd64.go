package qemu

import (
	"sync"
	"time"
)

// rdtsc reads the processor's time stamp counter.
func rdtsc() uint64

// tscFor is how long the counter is measured: the clock and the counter are read
// within a microsecond of each other, so this is good to 50 parts in a million.
const tscFor = 20 * time.Millisecond

// tscKHz is the rate of the time stamp counter, 0 when it is not credible. It
// has stood still on every processor since 2008 ("constant_tsc").
var tscKHz = sync.OnceValue(func() int {
	from, at := rdtsc(), time.Now()
	time.Sleep(tscFor)
	ticks, took := rdtsc()-from, time.Since(at)
	khz := int(float64(ticks) / took.Seconds() / 1000)
	if khz < 100_000 || khz > 20_000_000 {
		return 0
	}
	return khz
})
