package api

// The bodies of requests and replies. Names, units and which fields may be left
// out are those of Firecracker's API description; paths are as the jailed process
// sees them.

// InstanceInfo is the answer to GET /.
type InstanceInfo struct {
	ID         string `json:"id"`
	State      string `json:"state"` // Not started, Running, Paused
	VMMVersion string `json:"vmm_version"`
	AppName    string `json:"app_name"`
}

// MachineConfig is the body of PUT /machine-config.
type MachineConfig struct {
	VCPUs     int `json:"vcpu_count"` // 1 to 32
	MemoryMiB int `json:"mem_size_mib"`
}

// BootSource is the body of PUT /boot-source.
type BootSource struct {
	Kernel string `json:"kernel_image_path"`
	Initrd string `json:"initrd_path,omitempty"`
	Args   string `json:"boot_args,omitempty"`
}

// Drive is the body of PUT /drives/ID.
type Drive struct {
	ID          string       `json:"drive_id"`
	Path        string       `json:"path_on_host"`
	Root        bool         `json:"is_root_device"`
	ReadOnly    bool         `json:"is_read_only"`
	RateLimiter *RateLimiter `json:"rate_limiter,omitempty"`
}

// NetworkInterface is the body of PUT /network-interfaces/ID.
type NetworkInterface struct {
	ID      string       `json:"iface_id"`
	HostDev string       `json:"host_dev_name"`
	MAC     string       `json:"guest_mac,omitempty"`
	Receive *RateLimiter `json:"rx_rate_limiter,omitempty"` // to the guest
	Send    *RateLimiter `json:"tx_rate_limiter,omitempty"` // from the guest
}

// Vsock is the body of PUT /vsock.
type Vsock struct {
	CID    uint32 `json:"guest_cid"` // 3 or more
	Socket string `json:"uds_path"`
}

// Balloon is the body of PUT /balloon.
type Balloon struct {
	AmountMiB    int  `json:"amount_mib"`
	DeflateOnOOM bool `json:"deflate_on_oom"`
}

// Entropy is the body of PUT /entropy.
type Entropy struct {
	RateLimiter *RateLimiter `json:"rate_limiter,omitempty"`
}

// Serial is the body of PUT /serial. What a guest prints beyond the limit is
// dropped, not delayed.
type Serial struct {
	RateLimiter *TokenBucket `json:"rate_limiter,omitempty"`
}

// RateLimiter bounds bytes and operations.
type RateLimiter struct {
	Bandwidth  *TokenBucket `json:"bandwidth,omitempty"`
	Operations *TokenBucket `json:"ops,omitempty"`
}

// TokenBucket holds Size tokens and fills up in RefillMS; OneTimeBurst is what it
// has besides at the start.
type TokenBucket struct {
	Size         int64 `json:"size"`
	OneTimeBurst int64 `json:"one_time_burst,omitempty"`
	RefillMS     int64 `json:"refill_time"`
}

// SnapshotCreate is the body of PUT /snapshot/create. The machine must be paused.
type SnapshotCreate struct {
	Type   string `json:"snapshot_type"` // Full or Diff
	State  string `json:"snapshot_path"`
	Memory string `json:"mem_file_path"`
}

// SnapshotLoad is the body of PUT /snapshot/load.
type SnapshotLoad struct {
	State  string        `json:"snapshot_path"`
	Memory MemoryBackend `json:"mem_backend"`
	Resume bool          `json:"resume_vm"`
}

// MemoryBackend is where a restored guest's memory comes from.
type MemoryBackend struct {
	Type string `json:"backend_type"` // File: mapped privately, read when touched
	Path string `json:"backend_path"`
}

type action struct {
	Type string `json:"action_type"`
}

type vmState struct {
	State string `json:"state"` // Paused, Resumed
}
