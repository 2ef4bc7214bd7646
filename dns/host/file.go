package host

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
)

// file points a resolv.conf at us by writing it.
type file struct {
	path    string
	record  string
	servers []netip.Addr
	log     *slog.Logger
}

// before returns what the file held before it was changed: by the undo record
// or the file's own comment where it is ours already, else as it stands.
func (f *file) before() (original, error) {
	now, err := snapshot(f.path)
	if err != nil {
		return original{}, err
	}
	r, err := load(f.record)
	if err != nil {
		f.log.Warn("undo record of the host's resolver is unreadable", "error", err)
	}
	if r != nil && r.Path == f.path && mentions(now.Content, r.Servers) {
		return r.Original, nil
	}
	if saved, ok := recoverOriginal(now.Content); ok && mentions(now.Content, f.servers) {
		return saved, nil
	}
	return now, nil
}

// point writes the undo record, then the file.
func (f *file) point() error {
	o, err := f.before()
	if err != nil {
		return err
	}
	r := &record{Path: f.path, Servers: f.servers, Original: o}
	if err := r.save(f.record); err != nil {
		return err
	}
	return place(f.path, render(o, f.servers), o)
}

// pointed reports whether the file still sends its readers to us first.
func (f *file) pointed() (bool, error) {
	content, err := read(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return pointsAt(content, f.servers), err
}
