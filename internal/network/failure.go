package network

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// fail is host_network_failed: the operation that did not work, and a remedy
// that follows from the error where one does.
func fail(operation string, err error) error {
	var known *vitrine.Failure
	if errors.As(err, &known) {
		return err
	}
	f := vitrine.NewFailure(vitrine.FailHostNetworkFailed, []string{operation + ": " + err.Error()}, "could not %s: %v", operation, err)
	var nft *nftError
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, fs.ErrPermission):
		f.Remedy = "run the daemon as root: it needs CAP_NET_ADMIN and CAP_SYS_ADMIN"
	case errors.Is(err, errNoNft):
		f.Remedy = "apt-get install nftables"
	case errors.As(err, &nft):
		f.Remedy = "look at the evidence; the kernel needs nf_tables with its bridge, inet and nat parts"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		f.Remedy = "the kernel needs bridge and veth: modprobe bridge veth"
	}
	return f
}

// clash is host_network_failed for something of somebody else's in our way.
func clash(remedy, format string, args ...any) error {
	f := vitrine.NewFailure(vitrine.FailHostNetworkFailed, []string{fmt.Sprintf(format, args...)}, format, args...)
	f.Remedy, f.Retryable = remedy, false
	return f
}

// errForeign marks a bridge that is there and not ours.
var errForeign = errors.New("not ours")

func foreign(remedy, format string, args ...any) error {
	return foreignError{clash(remedy, format, args...)}
}

type foreignError struct{ error }

func (e foreignError) Unwrap() []error { return []error{e.error, errForeign} }
