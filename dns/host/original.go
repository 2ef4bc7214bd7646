package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// kind is what stood at the path of a resolv.conf.
type kind string

const (
	plain   kind = "file"
	symlink kind = "symlink"
	absent  kind = "absent"
)

// original is everything needed to put a file back as it was.
type original struct {
	Kind    kind        `json:"kind"`
	Target  string      `json:"target,omitempty"` // of a symlink
	Perm    fs.FileMode `json:"perm"`
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	Content []byte      `json:"content"` // through the symlink, if there is something
}

// snapshot reads what stands at path.
func snapshot(path string) (original, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return original{Kind: absent, Perm: 0o644}, nil
	case err != nil:
		return original{}, fmt.Errorf("look at the host's resolver file: %w", err)
	}
	o := original{Kind: plain, Perm: info.Mode().Perm()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		o.UID, o.GID = int(st.Uid), int(st.Gid)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		o.Kind, o.Perm = symlink, 0o644
		if o.Target, err = os.Readlink(path); err != nil {
			return original{}, fmt.Errorf("read the host's resolver link: %w", err)
		}
	} else if !info.Mode().IsRegular() {
		return original{}, fmt.Errorf("%s is neither a file nor a link", path)
	}
	o.Content, err = read(path)
	if o.Kind == symlink && errors.Is(err, fs.ErrNotExist) {
		err = nil // a dangling link is restored as one
	}
	return o, err
}

// read returns what a file holds, refusing what is no resolv.conf by its size.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the host's resolver file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the host's resolver file: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes: not a resolver file", path, maxFile)
	}
	return b, nil
}

// describe puts all but the content in one line, for the comment in our file.
func (o original) describe() string {
	switch o.Kind {
	case symlink:
		return string(symlink) + " " + o.Target
	case absent:
		return string(absent)
	}
	return fmt.Sprintf("%s %04o %d %d", plain, o.Perm, o.UID, o.GID)
}

// parse reads describe's line.
func (o *original) parse(line string) bool {
	word, rest, _ := strings.Cut(line, " ")
	o.Kind, o.Perm = kind(word), 0o644
	switch o.Kind {
	case absent:
		return true
	case symlink:
		o.Target = rest
		return rest != ""
	case plain:
		return o.parseOwner(strings.Fields(rest))
	}
	return false
}

func (o *original) parseOwner(fields []string) bool {
	if len(fields) != 3 {
		return false
	}
	perm, err1 := strconv.ParseUint(fields[0], 8, 32)
	uid, err2 := strconv.Atoi(fields[1])
	gid, err3 := strconv.Atoi(fields[2])
	o.Perm, o.UID, o.GID = fs.FileMode(perm).Perm(), uid, gid
	return err1 == nil && err2 == nil && err3 == nil
}
