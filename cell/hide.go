package cell

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// resolvConf is what names the resolver of whoever reads it.
const resolvConf = "/etc/resolv.conf"

// around are where services of the host listen that resolve names for others over
// a socket in the file system, which a network namespace does not part:
// systemd-resolved (nss-resolve), nscd and Avahi (nss-mdns). They would ask for the
// command, and in any network. It is directories, since whoever starts again makes
// another socket, and what lies over the one before goes with that.
func around() []string {
	return []string{"/run/systemd/resolve", "/run/nscd", "/run/avahi-daemon"}
}

// hide parts the calling thread from the mounts of the others and puts a
// resolv.conf over the host's, and over what resolves names around it.
// What the host mounts and unmounts later is seen here too. mark names the mounts.
func hide(resolv, mark string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("part mounts from the host's: %w", err)
	}
	// The files live in a file system of which nothing but them stays reachable.
	// It is built where a directory is sure to be.
	const aside, options = "/proc", "mode=755,size=1m"
	if err := unix.Mount(mark, aside, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("make room for a resolv.conf: %w", err)
	}
	err := errors.Join(cover(aside, resolv), unix.Unmount(aside, unix.MNT_DETACH))
	if err != nil {
		return fmt.Errorf("hide the host's resolvers: %w", err)
	}
	return nil
}

// cover makes files in a directory and binds them over the host's. In the
// directories of services are only those of systemd-resolved's that resolvConf may
// be a link to.
func cover(dir, resolv string) error {
	unix.Umask(0) // the asker's comes later
	ours := dir + "/resolvers"
	err := os.Mkdir(ours, 0o755)
	for _, name := range []string{"/resolv.conf", "/stub-resolv.conf"} {
		if err == nil {
			err = put(ours+name, resolv)
		}
	}
	if err != nil {
		return err //nolint:wrapcheck // says what and where
	}
	for _, path := range around() {
		err := unix.Mount(ours, path, "", unix.MS_BIND, "")
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			return fmt.Errorf("put ours over %s: %w", path, err)
		}
	}
	if err := unix.Mount(ours+"/resolv.conf", resolvConf, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put ours over %s: %w", resolvConf, err)
	}
	return nil
}

// put makes a file for all to read. Nothing that is there is opened: somebody else
// may have made the mount namespace.
func put(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err //nolint:wrapcheck // says what and where
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}
