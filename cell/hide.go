package cell

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// resolvConf is what names the resolver of whoever reads it.
const resolvConf = "/etc/resolv.conf"

// around are the services of the host that resolve names for others over a socket
// in the file system, which a network namespace does not part: systemd-resolved
// (nss-resolve), nscd and Avahi (nss-mdns). They would ask for the command, and in
// any network.
func around() []string {
	return []string{"/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket", "/run/avahi-daemon/socket"}
}

// hide parts the calling thread from the mounts of the others and puts a
// resolv.conf over the host's, and nothing over what resolves names around it.
// What the host mounts and unmounts later is seen here too.
func hide(resolv string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("part mounts from the host's: %w", err)
	}
	// The files live in a file system of which nothing but them stays reachable.
	// It is built where a directory is sure to be.
	const aside, options = "/proc", "mode=755,size=1m"
	if err := unix.Mount("mifvif", aside, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("make room for a resolv.conf: %w", err)
	}
	err := errors.Join(cover(aside, resolv), unix.Unmount(aside, unix.MNT_DETACH))
	if err != nil {
		return fmt.Errorf("hide the host's resolvers: %w", err)
	}
	return nil
}

// cover makes the files in a directory and binds them over the host's.
func cover(dir, resolv string) error {
	ours, nothing := dir+"/resolv.conf", dir+"/nothing"
	if err := errors.Join(put(ours, resolv, 0o444), put(nothing, "", 0)); err != nil {
		return err
	}
	if err := unix.Mount(ours, resolvConf, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put ours over %s: %w", resolvConf, err)
	}
	for _, path := range around() {
		err := unix.Mount(nothing, path, "", unix.MS_BIND, "")
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			return fmt.Errorf("put nothing over %s: %w", path, err)
		}
	}
	return nil
}

// put writes a file with exactly the mode.
func put(path, content string, mode os.FileMode) error {
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		return err //nolint:wrapcheck // says what and where
	}
	return os.Chmod(path, mode)
}
