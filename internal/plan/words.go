package plan

import (
	"strconv"
	"strings"
)

// portNumber reads a port, 0 where it is none.
func portNumber(text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// imageName is the last part of an image's name, without tag and digest.
func imageName(image string) string {
	image = image[strings.LastIndexByte(image, '/')+1:]
	if i := strings.IndexAny(image, ":@"); i >= 0 {
		image = image[:i]
	}
	return image
}
