package firecracker

import (
	"testing"

	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
)

// LimitSerial bounds serial consoles to a burst and so many bytes a second for
// one test: what a guest that is emulated prints is far below the real limit.
func LimitSerial(t *testing.T, burst, rate int64) {
	was := serialLimit
	serialLimit = &api.TokenBucket{Size: rate, OneTimeBurst: burst, RefillMS: 1000}
	t.Cleanup(func() { serialLimit = was })
}
