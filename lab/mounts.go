package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// resolvConf is the file that names the host's resolvers. In every node it is
// a private file that is mounted over, as container engines do it: it can be
// written but not replaced by renaming.
const resolvConf = "/etc/resolv.conf"

// furnish gives the calling thread, which has its own mount namespace, a /sys
// that shows its own network, a /run of its own (no bus, no resolver and no
// socket of the machine can be reached), its own /etc/resolv.conf and, where the
// machine has one, its own /etc/mifvif.
func furnish() error {
	if err := mountSys(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount a private /run: %w", err)
	}
	if err := os.Mkdir("/run/mifvif", 0o755); err != nil {
		return fmt.Errorf("make the node's /run: %w", err)
	}
	if err := maskOwn(); err != nil {
		return err
	}
	return mountResolvConf()
}

// ownEtc is where mifvif's configuration is on the machine.
const ownEtc = "/etc/mifvif"

// maskOwn mounts an empty directory over the machine's own configuration and users'
// rules, which are about its networks and are not for the laboratory to change.
func maskOwn() error {
	err := unix.Mount("tmpfs", ownEtc, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("mount over %s: %w", ownEtc, err)
	}
	return nil
}

// mountSys mounts sysfs anew and puts the control groups back into it.
func mountSys() error {
	groups, err := unix.OpenTree(unix.AT_FDCWD, "/sys/fs/cgroup", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err == nil {
		defer unix.Close(groups)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount a private /sys: %w", err)
	}
	if err != nil {
		return nil // no control groups here
	}
	if err := unix.MoveMount(groups, "", unix.AT_FDCWD, "/sys/fs/cgroup", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("put control groups back: %w", err)
	}
	return nil
}

// mountResolvConf mounts an empty file over /etc/resolv.conf. Where that is a
// link into /run, which is private already, the file it points to is made.
func mountResolvConf() error {
	target, err := filepath.EvalSymlinks(resolvConf)
	if errors.Is(err, fs.ErrNotExist) {
		return makeLinkTarget()
	}
	if err != nil {
		return fmt.Errorf("find %s: %w", resolvConf, err)
	}
	const private = "/run/resolv.conf.node"
	if err := os.WriteFile(private, nil, 0o644); err != nil {
		return fmt.Errorf("make the node's resolv.conf: %w", err)
	}
	if err := unix.Mount(private, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over %s: %w", target, err)
	}
	return nil
}

func makeLinkTarget() error {
	target, err := os.Readlink(resolvConf)
	if err != nil {
		return fmt.Errorf("a node needs an %s to mount over: %w", resolvConf, err)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(resolvConf), target)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("make the node's resolv.conf: %w", err)
	}
	return os.WriteFile(target, nil, 0o644)
}
