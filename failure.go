package vitrine

import "fmt"

// FailureCode names what went wrong with a machine. The catalogue below is the
// one list of them; docs, OpenAPI and code are held to it by a test.
type FailureCode string

// The failure codes.
const (
	FailMemoryBelowMinimum   FailureCode = "memory_below_minimum"
	FailHostNoCapacity       FailureCode = "host_no_capacity"
	FailHostDiskFull         FailureCode = "host_disk_full"
	FailHostKVMUnusable      FailureCode = "host_kvm_unusable"
	FailHostNetworkFailed    FailureCode = "host_network_failed"
	FailImageMissing         FailureCode = "image_missing"
	FailImageCorrupt         FailureCode = "image_corrupt"
	FailKernelMissing        FailureCode = "kernel_missing"
	FailRuntimeMissing       FailureCode = "runtime_missing"
	FailVMMFailed            FailureCode = "vmm_failed"
	FailGuestOOM             FailureCode = "guest_oom"
	FailGuestKernelPanic     FailureCode = "guest_kernel_panic"
	FailGuestNoRoot          FailureCode = "guest_no_root"
	FailGuestBootLoop        FailureCode = "guest_boot_loop"
	FailGuestNetworkDown     FailureCode = "guest_network_down"
	FailAgentTimeout         FailureCode = "agent_timeout"
	FailAgentCrashed         FailureCode = "agent_crashed"
	FailAgentVersionMismatch FailureCode = "agent_version_mismatch"
	FailDisplayFailed        FailureCode = "display_failed"
	FailBrowserCrashed       FailureCode = "browser_crashed"
	FailBrowserUnresponsive  FailureCode = "browser_unresponsive"
	FailStartTimeout         FailureCode = "start_timeout"
	FailNodeLost             FailureCode = "node_lost"
)

// MaxEvidence is how many lines a failure quotes at most (failures.md).
const MaxEvidence = 20

// Failure is why a session failed: what a person is shown and what a program
// can act on. Evidence is verbatim lines of console or log, at most MaxEvidence.
type Failure struct {
	Code      FailureCode `json:"code"`
	Phase     PhaseName   `json:"phase"`
	Message   string      `json:"message"`
	Remedy    string      `json:"remedy"`
	Retryable bool        `json:"retryable"`
	Evidence  []string    `json:"evidence"`
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s (in %s): %s", f.Code, f.Phase, f.Message)
}

// FailureInfo is one row of the catalogue.
type FailureInfo struct {
	Code      FailureCode
	Phase     PhaseName // where it usually happens
	Means     string    // one line, for docs and the page
	Evidence  string    // what proves it; without that it is start_timeout, never a guess
	Remedy    string    // the default remedy; a failure may say a sharper one
	Retryable bool
	Class     Class // how it is answered when a caller waits for the start
}

// FailureCatalogue is every failure code with what it means and what cures it.
var FailureCatalogue = []FailureInfo{
	{FailMemoryBelowMinimum, PhaseAdmission, "asked for less memory than the image needs", "the two numbers: asked for, and the least in the image's manifest", "ask for at least the image's least memory (memory_mb, or BROWSER_VM_MEMORY_MB / CLI_VM_MEMORY_MB)", false, ClassInvalid},
	{FailHostNoCapacity, PhaseAdmission, "the host's unreserved memory, vCPU or slots do not hold it", "the sum of what live sessions hold, and what the host lends", "end a session (`vitrine session list`, `vitrine session rm ID`) or ask for less memory", true, ClassNoCapacity},
	{FailHostDiskFull, PhaseAdmission, "the data directory is under its watermark", "the bytes free and the bytes that must stay free, or the host's own \"no space left on device\"", "free space in the data directory: `vitrine gc --dry-run`, `vitrine image list`, `vitrine image rm DIGEST`, or move VITRINE_DATA_DIR", true, ClassNoCapacity},
	{FailHostKVMUnusable, PhasePlacement, "/dev/kvm is missing, may not be opened, or does not run guests", "the call on /dev/kvm and its error, or what a test guest did not do", "use another runtime: VITRINE_RUNTIME=gvisor", false, ClassUnavailable},
	{FailHostNetworkFailed, PhaseNetwork, "bridge, veth, address or firewall could not be made", "the operation that failed, and its error", "run `vitrine doctor`; it names the operation and what stands in its way", true, ClassUnavailable},
	{FailImageMissing, PhaseImage, "the image is not in the store", "the name or digest that is not in the store", "vitrine image build desktop", false, ClassUnavailable},
	{FailImageCorrupt, PhaseImage, "the image's files differ from its manifest", "the file that differs, with the digest expected and the one found", "vitrine image rm DIGEST && vitrine image build desktop", false, ClassUnavailable},
	{FailKernelMissing, PhaseImage, "the guest kernel is not in the store", "the name that is not in the store, or the file that its image lacks", "vitrine image build desktop", false, ClassUnavailable},
	{FailRuntimeMissing, PhasePlacement, "the runtime's program is not installed or does not run here", "the program that is not on this host, or the runtime that this daemon does not offer", "run `vitrine doctor`; it names the program and how to get it", false, ClassUnavailable},
	{FailVMMFailed, PhaseMachine, "the machine did not start, or left at once", "the exit status before the agent ever answered, and the last lines of the runtime's log and the console", "look at the evidence; `vitrine doctor` checks the host", true, ClassFailed},
	{FailGuestOOM, PhaseBrowser, "the machine ran out of memory", "the kernel's own lines (deadlocked on memory, no killable processes, a killed process), the kills that the machine's limit counted, or memory pressure: all work waiting for 15 s, or most of it at a deadline", "give it more: memory_mb, or BROWSER_VM_MEMORY_MB / CLI_VM_MEMORY_MB", false, ClassFailed},
	{FailGuestKernelPanic, PhaseKernel, "the guest kernel panicked", "the panic's line and what stands around it on the console", "keep the evidence; rebuild the image and its kernel with `vitrine image build desktop`", true, ClassFailed},
	{FailGuestNoRoot, PhaseKernel, "the guest found no root filesystem or no init", "the kernel's line on the console: no root file system, or no init", "vitrine image build desktop", false, ClassFailed},
	{FailGuestBootLoop, PhaseKernel, "the machine restarted before its agent answered", "the boots on the console, or a machine that asked to restart, before the agent ever answered", "look at the evidence of the first boot", false, ClassFailed},
	{FailGuestNetworkDown, PhaseAgent, "the agent answers but the machine has no address or no route", "the agent's word: no address or no route for 5 s, in a machine that was given both", "run `vitrine doctor`; it checks bridge, subnet and firewall", true, ClassFailed},
	{FailAgentTimeout, PhaseAgent, "the agent did not answer in time", "the machine runs, and the agent was silent for its deadline (60 s once ready); the console's last lines", "look at the console: `vitrine session logs ID`", true, ClassFailed},
	{FailAgentCrashed, PhaseAgent, "the agent left", "the exit status after the agent had answered, and the console's last lines", "look at the console: `vitrine session logs ID`", true, ClassFailed},
	{FailAgentVersionMismatch, PhaseAgent, "the agent in the machine is not of this daemon's version", "the two versions", "end the session and start a new one", false, ClassFailed},
	{FailDisplayFailed, PhaseDisplay, "the X server did not come up or left", "the agent's word that the program gave up, and the program's last lines", "look at the evidence; rebuild the image with `vitrine image build desktop`", true, ClassFailed},
	{FailBrowserCrashed, PhaseBrowser, "Chromium did not come up or left", "the agent's word that Chromium gave up, and Chromium's last lines", "look at the evidence; more memory often cures it", true, ClassFailed},
	{FailBrowserUnresponsive, PhaseBrowser, "Chromium runs but did not paint or answer in time", "the agent's word that Chromium runs, and a deadline without a picture or an answer", "give it more memory or fewer neighbours, and try again", true, ClassFailed},
	{FailStartTimeout, PhaseMachine, "a phase passed its deadline and no sharper cause is proved", "the phase, its deadline and the agent's last word, with nothing above proved", "try again; if it stays, look at `vitrine session logs ID` and `vitrine doctor`", true, ClassTimeout},
	{FailNodeLost, PhaseMachine, "the host restarted and the machine went with it", "the boot id of the host is another than the one the machine was started in", "start a new session", true, ClassFailed},
}

// FailureInfoOf finds a code in the catalogue.
func FailureInfoOf(code FailureCode) (FailureInfo, bool) {
	for _, info := range FailureCatalogue {
		if info.Code == code {
			return info, true
		}
	}
	return FailureInfo{}, false
}

// NewFailure makes a failure with the catalogue's phase, remedy and
// retryability; the caller may sharpen any of them.
func NewFailure(code FailureCode, evidence []string, format string, args ...any) *Failure {
	info, ok := FailureInfoOf(code)
	if !ok {
		panic("vitrine: failure code not in the catalogue: " + string(code))
	}
	if len(evidence) > MaxEvidence {
		evidence = evidence[len(evidence)-MaxEvidence:]
	}
	return &Failure{
		Code: code, Phase: info.Phase, Message: fmt.Sprintf(format, args...),
		Remedy: info.Remedy, Retryable: info.Retryable, Evidence: evidence,
	}
}

// AsError gives the failure as the error a waiting caller gets.
func (f *Failure) AsError() *Error {
	info, _ := FailureInfoOf(f.Code)
	class := info.Class
	if class == "" {
		class = ClassFailed
	}
	return &Error{Class: class, Code: string(f.Code), Message: f.Message, Remedy: f.Remedy, Retryable: f.Retryable, Failure: f}
}
