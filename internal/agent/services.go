package agent

import (
	"context"
	"fmt"
	"path/filepath"
)

// openboxConfig has no decoration and no room for a browser that is not
// maximised; a click on the bare screen lists the windows, because a minimised
// one has no other way back. No key is bound: all are the page's.
const openboxConfig = `<?xml version="1.0" encoding="UTF-8"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <focus><focusNew>yes</focusNew><followMouse>no</followMouse></focus>
  <placement><policy>Smart</policy><center>yes</center></placement>
  <desktops><number>1</number><popupTime>0</popupTime></desktops>
  <resize><drawContents>yes</drawContents><popupShow>Never</popupShow></resize>
  <keyboard></keyboard>
  <mouse>
    <dragThreshold>8</dragThreshold><doubleClickTime>400</doubleClickTime>
    <context name="Root">
      <mousebind button="Left" action="Press"><action name="ShowMenu"><menu>client-list-combined-menu</menu></action></mousebind>
      <mousebind button="Right" action="Press"><action name="ShowMenu"><menu>client-list-combined-menu</menu></action></mousebind>
    </context>
    <context name="Client">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Middle" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Right" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
    </context>
    <context name="Titlebar">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Left" action="Drag"><action name="Move"/></mousebind>
    </context>
    <context name="Close"><mousebind button="Left" action="Click"><action name="Close"/></mousebind></context>
    <context name="Maximize"><mousebind button="Left" action="Click"><action name="ToggleMaximize"/></mousebind></context>
    <context name="BLCorner BRCorner Top Bottom Left Right">
      <mousebind button="Left" action="Drag"><action name="Resize"/></mousebind>
    </context>
  </mouse>
  <menu></menu>
  <applications>
    <application role="browser" type="normal"><decor>no</decor><maximized>yes</maximized></application>
  </applications>
</openbox_config>
`

func (d *desktop) startOpenbox(ctx context.Context, p *program, _ int) (instance, error) {
	config := filepath.Join(d.place.runtime, "openbox.xml")
	if err := d.place.write(config, []byte(openboxConfig)); err != nil {
		return nil, err
	}
	if err := d.x.up.wait(ctx); err != nil {
		return nil, err
	}
	return spawned0(spawn(d.place, p.lines, d.env(), nil, "openbox", "--sm-disable", "--config-file", config))
}

// busConfig is a session bus that starts nothing by itself: Debian's would
// start accessibility and settings services at Chromium's first question.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

func (d *desktop) startBus(_ context.Context, p *program, _ int) (instance, error) {
	config := filepath.Join(d.place.runtime, "bus.xml")
	if err := d.place.write(config, fmt.Appendf(nil, busConfig, d.busPath())); err != nil {
		return nil, err
	}
	if err := d.place.remove(d.busPath()); err != nil {
		return nil, err
	}
	return spawned0(spawn(d.place, p.lines, d.place.userEnv(), nil, "dbus-daemon",
		"--config-file="+config, "--nofork", "--nopidfile", "--nosyslog"))
}

// startSound starts a sound server whose one sink leads nowhere and sleeps when
// nothing plays: pages find a device, and a recorder can later listen to it.
func (d *desktop) startSound(ctx context.Context, p *program, _ int) (instance, error) {
	if err := d.painted.wait(ctx); err != nil {
		return nil, err
	}
	if err := d.place.remove(d.soundPath()); err != nil {
		return nil, err
	}
	return spawned0(spawn(d.place, p.lines, d.env(), nil, "pulseaudio",
		"--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--realtime=no", "--high-priority=no",
		"--use-pid-file=no", "--log-target=stderr", "--log-level=warn", "-n",
		"--load=module-null-sink sink_name=vitrine sink_properties=device.description=Vitrine",
		"--load=module-suspend-on-idle timeout=1",
		"--load=module-native-protocol-unix auth-cookie-enabled=0 socket="+d.soundPath()))
}

// spawned0 keeps a nil *spawned from becoming an instance that is not nil.
func spawned0(s *spawned, err error) (instance, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
