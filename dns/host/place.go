package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// temporary is the name a new file has until it is renamed into place. Daemons
// of other network namespaces may share the directory, so it is the process's own.
func temporary() string { return ".mifvif-resolv.conf." + strconv.Itoa(os.Getpid()) }

// place puts content at path: by rename, so that no reader sees half of it, or
// in place where renaming is impossible (a bind mount, a read-only /etc with a
// link to a writable file).
func place(path string, content []byte, o original) error {
	err := replace(path, func(tmp string) error { return create(tmp, content, o) })
	if err == nil || !unreplaceable(err) {
		return err
	}
	return overwrite(path, content)
}

// unreplaceable reports whether the file may be written although its name
// cannot be given to another.
func unreplaceable(err error) bool {
	for _, e := range []error{unix.EBUSY, unix.EXDEV, unix.EROFS, unix.EACCES, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// replace lets make create something under another name and renames it to path.
func replace(path string, make func(tmp string) error) error {
	dir := filepath.Dir(path)
	tmp := filepath.Join(dir, temporary())
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := make(tmp); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return syncDir(dir)
}

// create writes a new file with the original's mode and owner to the disk.
func create(path string, content []byte, o original) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if o.Kind == plain {
		// Not being allowed to give a file away does not make it useless.
		_ = f.Chown(o.UID, o.GID)
	}
	if err := f.Chmod(o.Perm); err != nil {
		return err
	}
	return f.Sync()
}

// overwrite changes a file's content without changing the file.
func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write over %s: %w", path, err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		return fmt.Errorf("write over %s: %w", path, err)
	}
	if err := f.Truncate(int64(len(content))); err != nil {
		return fmt.Errorf("write over %s: %w", path, err)
	}
	return f.Sync()
}

// putBack restores the original at path.
func putBack(path string, o original) error {
	switch o.Kind {
	case symlink:
		if target, err := os.Readlink(path); err == nil && target == o.Target {
			return overwrite(path, o.Content) // we wrote through the link
		}
		return replace(path, func(tmp string) error { return os.Symlink(o.Target, tmp) })
	case absent:
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove our %s: %w", path, err)
		}
		return nil
	}
	return place(path, o.Content, o)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer d.Close()
	// Some file systems cannot sync a directory; the rename itself is done.
	_ = d.Sync()
	return nil
}
