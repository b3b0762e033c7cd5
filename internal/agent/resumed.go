package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// machineID is where programs look for what tells one machine from another
// (machine-id(5)).
const machineID = "/etc/machine-id"

// resumed makes a machine that was restored from a snapshot of another one of its
// own. Any step that fails fails the whole: the node then ends the machine, which
// has reached nobody yet.
func (s *server) resumed(w http.ResponseWriter, r *http.Request) {
	var msg agentproto.Resumed
	if !readJSON(w, r, &msg) {
		return
	}
	data, err := msg.Check()
	var cfg agentproto.Config
	if err == nil {
		cfg, err = ParseConfig(data)
	}
	if err != nil {
		reply(w, http.StatusUnprocessableEntity, agentproto.Error{Message: err.Error()})
		return
	}
	if err := become(msg, cfg, machineID); err != nil {
		s.log.Error("the restored machine could not be made one of its own", "err", err)
		reply(w, http.StatusInternalServerError, agentproto.Error{Message: err.Error()})
		return
	}
	// Last: a node that did not get the answer asks with the same secret again.
	secret := sha256.Sum256([]byte(cfg.Secret))
	s.secret.Store(&secret)
	s.log.Info("the machine was restored", "as", cfg.MachineID, "session", cfg.SessionID)
	reply(w, http.StatusOK, struct{}{})
}

// become does the steps, randomness first: what follows may draw on it.
func become(msg agentproto.Resumed, cfg agentproto.Config, idFile string) error {
	if err := addEntropy(msg.Entropy); err != nil {
		return fmt.Errorf("reseed the random numbers: %w", err)
	}
	now := unix.NsecToTimespec(msg.UnixNano)
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	if err := writeFiles(msg.Boot.Files); err != nil {
		return err
	}
	if err := newMachineID(cfg.MachineID, idFile); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(msg.Boot.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if !cfg.Network.Configure {
		return nil
	}
	if err := readdress(cfg.Network, msg.MAC); err != nil {
		return err
	}
	return configureNetwork(cfg.Network, resolvConf)
}

// addEntropy mixes bytes into the kernel's generator, credits them, and makes it
// use them at once (random(4)).
func addEntropy(data []byte) error {
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var info struct {
		bits, size int32
		data       [agentproto.MaxEntropy]byte
	}
	info.bits, info.size = int32(8*len(data)), int32(len(data))
	copy(info.data[:], data)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&info))); errno != 0 {
		return os.NewSyscallError("RNDADDENTROPY", errno)
	}
	const reseed = 0x5207 // RNDRESEEDCRNG of linux/random.h
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), reseed, 0); errno != 0 {
		return os.NewSyscallError("RNDRESEEDCRNG", errno)
	}
	return nil
}

// writeFiles writes the machine's own files, each whole or not at all.
func writeFiles(files []agentproto.BootFile) error {
	for _, f := range files {
		if err := replaceFile(f.Path, f.Data, fs.FileMode(f.Mode)); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

func replaceFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".resumed-*") // 0600 from the start
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// newMachineID derives the id from the machine's own, so that it is the same
// however often this is done. An image that has none gets none.
func newMachineID(machine, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	sum := sha256.Sum256([]byte("machine-id of " + machine))
	if err := replaceFile(path, []byte(hex.EncodeToString(sum[:16])+"\n"), 0o444); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// readdress takes the other machine's addresses and its connections away, and
// gives the interface its own MAC.
func readdress(n agentproto.Network, mac string) error {
	link, err := netlink.LinkByName(n.Device)
	if err != nil {
		return fmt.Errorf("find network device %.16q: %w", n.Device, err)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the addresses of %s: %w", n.Device, err)
	}
	for _, a := range addrs {
		endConnections(a.IP)
		if err := netlink.AddrDel(link, &a); err != nil {
			return fmt.Errorf("take %s from %s: %w", a.IPNet, n.Device, err)
		}
	}
	if mac == "" {
		return nil
	}
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return fmt.Errorf("network MAC: %w", err)
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("bring %s down: %w", n.Device, err)
	}
	if err := netlink.LinkSetHardwareAddr(link, hw); err != nil {
		return fmt.Errorf("set the MAC of %s: %w", n.Device, err)
	}
	return nil
}

// endConnections ends the TCP connections of an address, which lead nowhere any
// more: programs see it now and not when they time out. A kernel that cannot
// (without INET_DIAG_DESTROY) leaves that to the time.
func endConnections(own net.IP) {
	deadline := time.Now().Add(time.Second)
	sockets, err := netlink.SocketDiagTCP(unix.AF_INET)
	if err != nil {
		return
	}
	for _, s := range sockets {
		if !s.ID.Source.Equal(own) || s.ID.DestinationPort == 0 || time.Now().After(deadline) {
			continue
		}
		local := &net.TCPAddr{IP: s.ID.Source, Port: int(s.ID.SourcePort)}
		remote := &net.TCPAddr{IP: s.ID.Destination, Port: int(s.ID.DestinationPort)}
		if netlink.SocketDestroy(local, remote) != nil {
			return
		}
	}
}
