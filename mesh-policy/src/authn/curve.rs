//! Whether a point is on one of NIST's curves (SP 800-186 §3.2.1): `y² = x³ - 3x + b` modulo `p`.
//!
//! Providers verify signatures and do not say whether a key is one. Keys are read rarely, so that
//! this need not be fast; and they are public, so that it may take more or less time.

use std::cmp::Ordering;

/// A curve, by its numbers in hexadecimal.
#[derive(Debug)]
pub(super) struct Curve {
    /// The length of a coordinate, in bytes.
    pub(super) length: usize,
    prime: &'static str,
    b: &'static str,
}

pub(super) const P256: Curve = Curve {
    length: 32,
    prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    b: "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
};

pub(super) const P384: Curve = Curve {
    length: 48,
    prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe\
            ffffffff0000000000000000ffffffff",
    b: "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a\
        c656398d8a2ed19d2a85c8edd3ec2aef",
};

pub(super) const P521: Curve = Curve {
    length: 66,
    prime: "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
            ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
            ffff",
    b: "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef1\
        09e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b50\
        3f00",
};

impl Curve {
    /// The point in the form of SEC 1 §2.3.3, uncompressed; nothing if it is not on the curve. The
    /// coordinates may lack leading zeros, as BoringSSL accepts them.
    pub(super) fn point(&self, x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
        let field = Field {
            prime: number(self.prime),
        };
        let (x, y) = (self.padded(x)?, self.padded(y)?);
        let is_below = |coordinate: &[u8]| compare(coordinate, &field.prime) == Ordering::Less;
        if !is_below(&x) || !is_below(&y) {
            return None;
        }
        // y² + 3x = x³ + b
        let three_x = field.add(&field.add(&x, &x), &x);
        let left = field.add(&field.multiply(&y, &y), &three_x);
        let cube = field.multiply(&field.multiply(&x, &x), &x);
        let right = field.add(&cube, &number(self.b));
        (left == right).then(|| [&[4], &*x, &*y].concat())
    }

    fn padded(&self, coordinate: &[u8]) -> Option<Vec<u8>> {
        let zeros = self.length.checked_sub(coordinate.len())?;
        Some([&vec![0; zeros], coordinate].concat())
    }
}

/// Arithmetic modulo a prime, of big-endian numbers of its length that are below it.
struct Field {
    prime: Vec<u8>,
}

impl Field {
    fn add(&self, a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut sum = vec![0; a.len()];
        let mut carry = 0;
        for index in (0..a.len()).rev() {
            let digit = u16::from(a[index]) + u16::from(b[index]) + carry;
            sum[index] = digit.to_be_bytes()[1];
            carry = digit >> 8;
        }
        if carry == 1 || compare(&sum, &self.prime) != Ordering::Less {
            self.subtract_prime(&mut sum);
        }
        sum
    }

    /// Subtracts the prime, and drops the carry that the number had.
    fn subtract_prime(&self, number: &mut [u8]) {
        let mut borrow = false;
        for (digit, prime) in number.iter_mut().zip(&self.prime).rev() {
            let (difference, first) = digit.overflowing_sub(*prime);
            let (difference, second) = difference.overflowing_sub(u8::from(borrow));
            *digit = difference;
            borrow = first || second;
        }
    }

    /// Doubles and adds, bit by bit.
    fn multiply(&self, a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut product = vec![0; a.len()];
        for byte in a {
            for bit in (0..8).rev() {
                product = self.add(&product, &product);
                if byte >> bit & 1 == 1 {
                    product = self.add(&product, b);
                }
            }
        }
        product
    }
}

/// Compares numbers of the same length.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.cmp(b)
}

/// A number from an even count of hexadecimal digits.
fn number(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte - b'a' + 10,
    };
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generators of the curves (SP 800-186 §3.2.1).
    const GENERATORS: [(&Curve, &str, &str); 3] = [
        (
            &P256,
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ),
        (
            &P384,
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a38\
             5502f25dbf55296c3a545e3872760ab7",
            "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c0\
             0a60b1ce1d7e819d7a431d7c90ea0e5f",
        ),
        (
            &P521,
            "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d\
             3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5\
             bd66",
            "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e\
             662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd1\
             6650",
        ),
    ];

    #[test]
    fn points_of_a_curve_are_told_from_others() {
        for (curve, x, y) in GENERATORS {
            let (x, y) = (number(x), number(y));
            let point = curve.point(&x, &y).unwrap();
            assert_eq!(point.len(), 1 + 2 * curve.length);
            assert_eq!(curve.point(&y, &x), None);
            assert_eq!(curve.point(&[1], &[1]), None);
            assert_eq!(curve.point(&number(curve.prime), &y), None);
            assert_eq!(curve.point(&[&[0], &*x].concat(), &y), None, "too long");
        }
    }

    #[test]
    fn leading_zeros_may_be_missing() {
        let (curve, x, y) = GENERATORS[2];
        let (x, y) = (number(x), number(y));
        assert_eq!(x[0], 0);
        assert_eq!(curve.point(&x[1..], &y), curve.point(&x, &y));
    }
}
