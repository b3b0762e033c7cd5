package kvm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// Device is where the kernel offers KVM.
const Device = "/dev/kvm"

// Floor is the least rate, in guest kernel instructions a second, at which a
// host counts as having KVM: a twentieth of the slowest hardware seen and forty
// times the fastest emulation.
const Floor = 5e7

// measureFor is how long the guest counts; limit bounds the whole of a probe.
const (
	measureFor = 100 * time.Millisecond
	limit      = 3 * time.Second
)

// Result is what a probe saw. It is meaningful also beside an error that says
// the host is too slow.
type Result struct {
	Rate float64       // guest kernel instructions a second; 0 when no guest ran
	Took time.Duration // the whole probe
}

// Probe runs a guest and times it. Its error is a vitrine.Error with the code
// host_kvm_unusable, whose message names the call and errno, or the rate, and
// whose remedy can be typed. It takes about a tenth of a second, three at most.
func Probe(ctx context.Context) (Result, error) { return ProbeFloor(ctx, Device, Floor) }

// ProbeFloor is Probe of another device or with another floor: tests of real
// virtual machine monitors set it to 0 on hosts that emulate.
func ProbeFloor(ctx context.Context, device string, floor float64) (Result, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	rate, err := measure(ctx, device, countingLoop)
	r := Result{Rate: rate, Took: time.Since(began)}
	if err == nil && rate < floor {
		err = unusable("%s runs guest kernel code at %s instructions a second, less than %s: this host emulates it", device, human(rate), human(floor)).
			WithRemedy("use a host whose processor's virtualisation is passed on (bare metal, or a VM with nested virtualisation), or another runtime: VITRINE_RUNTIME=gvisor")
	}
	return r, err
}

func unusable(format string, args ...any) *vitrine.Error {
	return vitrine.NewFailure(vitrine.FailHostKVMUnusable, nil, format, args...).AsError()
}

func human(rate float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "thousand million"}, {1e6, "million"}, {1e3, "thousand"}} {
		if rate >= u.of {
			return fmt.Sprintf("%.3g %s", rate/u.of, u.name)
		}
	}
	return fmt.Sprintf("%.0f", rate)
}

// open opens the device and says in words why it cannot be opened.
func open(device string) (*os.File, error) {
	if runtime.GOARCH != "amd64" {
		return nil, unusable("this processor (%s) is not x86-64, the only one that microVMs are made for", runtime.GOARCH)
	}
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	var errno syscall.Errno
	errors.As(err, &errno)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, fs.ErrNotExist), errno == unix.ENODEV, errno == unix.ENXIO:
		return nil, unusable("opening %s: %s", device, errno.Error()).WithCause(err).
			WithRemedy("load the module (`modprobe kvm_intel` or `modprobe kvm_amd`); if that fails turn virtualisation on in the firmware, or nested virtualisation on in the host of this VM")
	case errors.Is(err, fs.ErrPermission):
		return nil, unusable("opening %s: %s", device, errno.Error()).WithCause(err).
			WithRemedy("run vitrine as root, or put its user into the group of the device: `usermod -aG kvm USER`; in a container pass the device in (--device=%s)", device)
	}
	return nil, unusable("opening %s: %s", device, err).WithCause(err)
}
