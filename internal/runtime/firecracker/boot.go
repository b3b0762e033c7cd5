package firecracker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/tiny"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// socketLimit is how long the API's socket may take from the VMM's start: it
// takes 5 ms, on a busy host 100.
const socketLimit = 5 * time.Second

// guestCID is the guest's address on its own vsock, the least there is; nobody
// else is on it.
const guestCID = 3

// What one machine may take of what all share. The first burst covers a boot; a
// machine that goes on like that shares the disk and the line with the others.
var (
	diskLimit = &api.RateLimiter{ // 256 MiB/s and 10 000 operations a second
		Bandwidth:  &api.TokenBucket{Size: 64 << 20, OneTimeBurst: 2 << 30, RefillMS: 250},
		Operations: &api.TokenBucket{Size: 2500, OneTimeBurst: 50_000, RefillMS: 250},
	}
	netLimit = &api.RateLimiter{ // 64 MiB/s and 100 000 packets a second, each way
		Bandwidth:  &api.TokenBucket{Size: 16 << 20, OneTimeBurst: 256 << 20, RefillMS: 250},
		Operations: &api.TokenBucket{Size: 25_000, RefillMS: 250},
	}
	randomLimit = &api.RateLimiter{Bandwidth: &api.TokenBucket{Size: 64 << 10, OneTimeBurst: 1 << 20, RefillMS: 100}}
	// 1 MiB/s, half of what the supervisor reads: what is beyond is dropped here and
	// not where it would hold the VMM up. A kernel prints 50 KB in a boot.
	serialLimit = &api.TokenBucket{Size: 1 << 20, OneTimeBurst: 1 << 20, RefillMS: 1000}
)

// Boot implements supervised.Booter.
func (d *driver) Boot(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine) error {
	c, err := d.connect(ctx, m)
	if err != nil {
		return err
	}
	defer c.Close()
	from, err := restoring(m)
	if err != nil {
		return err
	}
	if from != "" {
		return failure(d.load(ctx, c, spec, m, from))
	}
	if err := d.describe(ctx, c, spec, m); err != nil {
		return failure(err)
	}
	err = c.Start(ctx)
	var refused *api.Error
	if err != nil && ctx.Err() == nil && !errors.As(err, &refused) && ended(m) {
		return nil // the guest was faster than the answer: it ran and left
	}
	return failure(err)
}

// connect waits for the API and sees that it is this machine's.
func (d *driver) connect(ctx context.Context, m supervised.Machine) (*api.Client, error) {
	c := client(m)
	limited, cancel := context.WithTimeout(ctx, socketLimit)
	defer cancel()
	for {
		info, err := c.Info(limited)
		if err == nil && info.ID != strings.ReplaceAll(m.ID, "_", "-") {
			err = fmt.Errorf("the VMM says that it is %s", api.Printable(info.ID, 64))
		}
		if err == nil {
			return c, nil
		}
		if ended(m) {
			c.Close()
			return nil, errors.New("firecracker left before its API answered")
		}
		select {
		case <-limited.Done():
			c.Close()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("firecracker's API did not answer in %s: %w", socketLimit, err)
		case <-time.After(time.Millisecond): // a socket in another's root cannot be watched for
		}
	}
}

// ended says whether the VMM has left.
func ended(m supervised.Machine) bool {
	var p machinedir.Process
	return m.Dir.Read(machinedir.MachineFile, &p) == nil && !p.Alive()
}

// describe tells the VMM what the machine is.
func (d *driver) describe(ctx context.Context, c *api.Client, spec vitrine.MachineSpec, m supervised.Machine) error {
	steps := []func() error{
		func() error {
			return c.PutMachineConfig(ctx, api.MachineConfig{VCPUs: spec.VCPU, MemoryMiB: int(spec.MemoryBytes >> 20)})
		},
		func() error { return c.PutSerial(ctx, api.Serial{RateLimiter: serialLimit}) },
	}
	if m.Probe() {
		steps = append(steps, func() error {
			return c.PutBootSource(ctx, api.BootSource{Kernel: "/" + fileKernel, Args: tiny.Argument("reboot")})
		})
		return run(steps)
	}
	if d.cfg.CPUConfig != nil {
		steps = append(steps, func() error { return c.PutCPUConfig(ctx, d.cfg.CPUConfig) })
	}
	steps = append(steps,
		func() error {
			return c.PutBootSource(ctx, api.BootSource{
				Kernel: "/" + fileKernel, Initrd: "/" + fileInitramfs, Args: d.kit.CommandLine(spec, bootArgs...),
			})
		},
		// The guest tells them apart by content; the disk's writes are what is limited.
		func() error { return c.PutDrive(ctx, drive(fileBase)) },
		func() error { return c.PutDrive(ctx, drive(fileAgent)) },
		func() error { return c.PutDrive(ctx, drive(fileBoot)) },
		func() error {
			disk := drive(fileDisk)
			disk.ReadOnly = false
			return c.PutDrive(ctx, disk)
		},
		func() error { return c.PutVsock(ctx, api.Vsock{CID: guestCID, Socket: "/" + socketVsock}) },
		// Empty until somebody asks for memory back; what it then took it gives back
		// rather than let the guest run out.
		func() error { return c.PutBalloon(ctx, api.Balloon{DeflateOnOOM: true}) },
		func() error { return c.PutEntropy(ctx, api.Entropy{RateLimiter: randomLimit}) },
	)
	if spec.Net.NetNS != "" {
		steps = append(steps, func() error {
			return c.PutNetworkInterface(ctx, api.NetworkInterface{
				ID: "eth0", HostDev: vm.TAPName, MAC: spec.Net.MAC, Receive: netLimit, Send: netLimit,
			})
		})
	}
	return run(steps)
}

func run(steps []func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

func drive(name string) api.Drive {
	return api.Drive{ID: name, Path: "/" + name, ReadOnly: true, RateLimiter: diskLimit}
}

// bootArgs are the kernel's arguments that this VMM needs: one UART, and a keyboard
// controller that is there for the reset alone and takes half a second to probe
// for the rest of what it might be. That there is no PCI bus it adds itself.
var bootArgs = []string{"8250.nr_uarts=1", "i8042.noaux", "i8042.nomux", "i8042.nopnp", "i8042.dumbkbd"}

// failure names what the VMM refused.
func failure(err error) error {
	var refused *api.Error
	if !errors.As(err, &refused) {
		return err
	}
	code := vitrine.FailVMMFailed
	switch {
	case strings.Contains(refused.Call, "/network-interfaces/"):
		code = vitrine.FailHostNetworkFailed
	case strings.Contains(strings.ToLower(refused.Fault), "/dev/kvm"):
		code = vitrine.FailHostKVMUnusable
	}
	return vitrine.NewFailure(code, nil, "%s", refused).AsError().WithCause(err)
}
