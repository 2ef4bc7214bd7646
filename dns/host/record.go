package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// record is what undoes a change of this package's. It is on the disk before
// the change is made.
type record struct {
	Path     string       `json:"path"`    // of the resolv.conf
	Servers  []netip.Addr `json:"servers"` // ours, as they were written
	Original original     `json:"original"`
	// Key is the name under which a resolvconf program was told, "" if the file
	// was written by us.
	Key string `json:"key,omitempty"`
}

// load returns the record at path, nil if there is none.
func load(path string) (*record, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read undo record: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read undo record %s: %w", path, err)
	}
	return &r, nil
}

// save writes the record to the disk.
func (r *record) save(path string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode undo record: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write undo record: %w", err)
	}
	if err := create(tmp, b, original{Kind: absent, Perm: 0o600}); err != nil {
		return fmt.Errorf("write undo record: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write undo record: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// forget removes the record: its change is undone.
func forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove undo record: %w", err)
	}
	return nil
}
