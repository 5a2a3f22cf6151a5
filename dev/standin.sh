# sh dev/standin.sh FILE.tar: makes a base image like the official slim Python image from Debian
# packages, for `podman import` on machines that reach no image registry. The packages are unpacked,
# not installed: their scripts do not run, so it takes seconds.
#
# It differs from the official image: Debian 12's Python 3.11, in /usr/bin; no apt, no dpkg, no bash.
# Exit 75 where the packages cannot be downloaded.
set -eu

tar=$(realpath -m "$1")
pip=$(dirname "$(.venv/bin/python -c 'import pip; print(pip.__path__[0])')")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

mkdir -p "$work/packages" "$root/etc/ssl/certs" "$root/var"
cd "$root"
mkdir -p usr/bin usr/sbin usr/lib usr/lib64 usr/local/bin root proc sys dev run home
for merged in bin sbin lib lib64; do ln -s "usr/$merged" "$merged"; done
mkdir -m 1777 tmp var/tmp

cd "$work/packages"
# The first line is Python, the next two are what RUN in a Dockerfile needs, the others are
# libraries of Python's own modules.
apt-get -qq -o APT::Sandbox::User=root download \
    python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib \
    base-files base-passwd dash coreutils libc-bin libc6 libacl1 libattr1 libselinux1 libpcre2-8-0 \
    libgmp10 libgcc-s1 ca-certificates media-types tzdata netbase sed grep findutils \
    libexpat1 zlib1g libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libncursesw6 \
    libtinfo6 libreadline8 libdb5.3 libnsl2 libtirpc3 libgssapi-krb5-2 libkrb5-3 libk5crypto3 \
    libkrb5support0 libcom-err2 libkeyutils1 libcrypt1 || exit 75
for package in *.deb; do
    dpkg-deb --fsys-tarfile "$package" |
        tar -x -C "$root" --keep-directory-symlink --exclude='./usr/share/doc/*' \
            --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
            --exclude='./usr/lib/*-linux-gnu/gconv/*'
done

# What the packages' scripts would do.
cd "$root"
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
[ -e usr/bin/sh ] || ln -s dash usr/bin/sh
ln -s /usr/bin/python3.11 usr/local/bin/python
rm -f usr/lib/python3.11/EXTERNALLY-MANAGED # pip may install packages, as in the official image
mkdir -p usr/local/lib/python3.11/dist-packages
cp -r "$pip"/pip "$pip"/pip-*.dist-info usr/local/lib/python3.11/dist-packages
chroot . /sbin/ldconfig

tar -C "$root" --sort=name --numeric-owner --owner=0 --group=0 -cf "$tar" .
