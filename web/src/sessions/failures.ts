// Made from failure.go by `go test . -run CatalogueEverywhere -update`; do not edit.
import type { Failure } from '../api/types';

/** What each failure means, and what proves it. */
export const failures: Record<Failure['code'], { means: string; proof: string }> = {
  memory_below_minimum: { means: "asked for less memory than the image needs", proof: "the two numbers: asked for, and the least in the image's manifest" },
  host_no_capacity: { means: "the host's unreserved memory, vCPU or slots do not hold it", proof: "the sum of what live sessions hold, and what the host lends" },
  host_disk_full: { means: "the data directory is under its watermark", proof: "the bytes free and the bytes that must stay free, or the host's own \"no space left on device\"" },
  host_kvm_unusable: { means: "/dev/kvm is missing, may not be opened, or does not run guests", proof: "the call on /dev/kvm and its error, or what a test guest did not do" },
  host_network_failed: { means: "bridge, veth, address or firewall could not be made", proof: "the operation that failed, and its error" },
  image_missing: { means: "the image is not in the store", proof: "the name or digest that is not in the store" },
  image_corrupt: { means: "the image's files differ from its manifest", proof: "the file that differs, with the digest expected and the one found" },
  kernel_missing: { means: "the guest kernel is not in the store", proof: "the name that is not in the store, or the file that its image lacks" },
  runtime_missing: { means: "the runtime's program is not installed or does not run here", proof: "the program that is not on this host, or the runtime that this daemon does not offer" },
  vmm_failed: { means: "the machine did not start, or left at once", proof: "the exit status before the agent ever answered, and the last lines of the runtime's log and the console" },
  guest_oom: { means: "the machine ran out of memory", proof: "the kernel's own lines (deadlocked on memory, no killable processes, a killed process), the kills that the machine's limit counted, or memory pressure: all work waiting for 15 s, or most of it at a deadline" },
  guest_kernel_panic: { means: "the guest kernel panicked", proof: "the panic's line and what stands around it on the console" },
  guest_no_root: { means: "the guest found no root filesystem or no init", proof: "the kernel's line on the console: no root file system, or no init" },
  guest_boot_loop: { means: "the machine restarted before its agent answered", proof: "the boots on the console, or a machine that asked to restart, before the agent ever answered" },
  guest_network_down: { means: "the agent answers but the machine has no address or no route", proof: "the agent's word: no address or no route for 5 s, in a machine that was given both" },
  agent_timeout: { means: "the agent did not answer in time", proof: "the machine runs, and the agent was silent for its deadline (60 s once ready); the console's last lines" },
  agent_crashed: { means: "the agent left", proof: "the exit status after the agent had answered, and the console's last lines" },
  agent_version_mismatch: { means: "the agent in the machine is not of this daemon's version", proof: "the two versions" },
  display_failed: { means: "the X server did not come up or left", proof: "the agent's word that the program gave up, and the program's last lines" },
  browser_crashed: { means: "Chromium did not come up or left", proof: "the agent's word that Chromium gave up, and Chromium's last lines" },
  browser_unresponsive: { means: "Chromium runs but did not paint or answer in time", proof: "the agent's word that Chromium runs, and a deadline without a picture or an answer" },
  start_timeout: { means: "a phase passed its deadline and no sharper cause is proved", proof: "the phase, its deadline and the agent's last word, with nothing above proved" },
  node_lost: { means: "the host restarted and the machine went with it", proof: "the boot id of the host is another than the one the machine was started in" },
};
