package lab

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// programs lists the BPF programs that see the packets of the node's links. Kernels
// without the way to attach them (tcx, Linux 6.6) have none.
func (n *Node) programs() (lines []string, err error) {
	names, err := n.linkNames()
	if err != nil {
		return nil, err
	}
	err = n.Do(func() error {
		for index, name := range names {
			for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				found, err := attached(index, at)
				if err != nil {
					return fmt.Errorf("list programs of %s: %w", name, err)
				}
				for _, p := range found {
					lines = append(lines, fmt.Sprintf("program %s on %s %v", p, name, at))
				}
			}
		}
		return nil
	})
	return lines, err
}

// attached returns the names of the programs at one place of a link.
func attached(index int, at ebpf.AttachType) (names []string, err error) {
	result, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: at})
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENODEV) { // it is gone
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, attached := range result.Programs {
		name, err := programName(attached.ID)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func programName(id ebpf.ProgramID) (string, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", err
	}
	return info.Name, nil
}
