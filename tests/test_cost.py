"""What a program costs: counted by hand, and against the shapes of the arrays that evaluation really makes."""

from __future__ import annotations

import pytest

import derivkit

LAYERS = "x: 30\nW1: 1024, 30\nb1: 1024\nW2: 512, 1024\nb2: 512\nW3: 1, 512\nb3: 1\n"
NET = LAYERS + "h1 = relu(W1 @ x + b1)\nh2 = relu(W2 @ h1 + b2)\ny = W3 @ h2 + b3"
TANH = "x: D\nt: onehot K\nW1: M, D\nW2: K, M\nh = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)"


def test_the_parameters_of_a_network_with_biases():
    assert derivkit.cost(NET).parameters == 557_057 == 30 * 1024 + 1024 + 1024 * 512 + 512 + 512 + 1


@pytest.mark.parametrize(("dtype", "item"), [("float64", 8), ("float32", 4), ("float16", 2)])
def test_a_matrix_product(dtype, item):
    made = derivkit.cost("A: M, K\nB: K, N\nC = A @ B", parameters="A, B", dtype=dtype)
    (node,) = made.forward
    assert str(node.flops) == "2*K*M*N"
    assert str(node.multiply_adds) == "K*M*N"
    m, k, n = 5, 7, 11
    numbers = made.at(M=m, K=k, N=n).forward[0]
    assert numbers.intensity == 2 * m * n * k / (item * (m * k + k * n + m * n))
    assert {s.literal for s in made.at(M=m, K=k, N=n).backward[0].shape} <= {m, k, n}
    assert made.at(M=m, K=k, N=n).flops == 2 * m * n * k * 3  # one product forward, one for each factor backward
    assert node.intensity == f"2KMN / ({item} (KM+KN+MN))"


COUNTS = [
    ("x: N\ny: N\nz = x*y + 1", "x", 2 * 6),
    ("x: N\nE = sum(x)", "x", 6),
    ("A: N, N\nx: N\ny = A @ x", "A", 2 * 36),
    ("a: N\nb: N\ny = outer(a, b)", "a", 36),
    ("x: N\ny = x[1:]", "x", 0),
    ("A: N, N\ny = A.T", "A", 0),
    ("x: N\ny = softmax(x)", "x", 18),
]


@pytest.mark.parametrize(("program", "name", "count"), COUNTS)
def test_operations_forward(program, name, count):
    made = derivkit.cost(program, parameters=name, sizes={"N": 6})
    assert sum(n.flops.literal for n in made.forward) == count


def test_shapes_of_a_stack_of_convolutions():
    net = "x: N, 3, 32, 32\nw1: 16, 3, 3, 3\nw2: 32, 16, 5, 5\n"
    net += "h = conv2d(x, w1, padding=1)\np = max_pool2d(h, 2)\nq = conv2d(p, w2, stride=2)"
    made = derivkit.cost(net)
    shapes = {n.name: tuple(map(str, n.shape)) for n in made.forward}
    assert shapes["h"] == ("N", "16", "32", "32")
    assert shapes["p"] == ("N", "16", "16", "16")
    assert shapes["q"] == ("N", "32", "6", "6")
    assert made.parameters == 16 * 3 * 9 + 32 * 16 * 25
    flops = {n.name: n.flops for n in made.at(N=1).forward}
    assert flops["h"].literal == 2 * 16 * 32 * 32 * 3 * 9


def test_a_kernel_counts_its_batch():
    kernel = derivkit.compile(TANH, wrt="W1, W2", batch="x, t")
    made = kernel.cost(D=784, M=100, K=10, N=64)
    assert made.parameters == 784 * 100 + 100 * 10
    flops = {n.name: n.flops.literal for n in made.nodes}
    assert flops["dE_dW1"] == 2 * 784 * 100 * 64
    assert str(kernel.cost().parameters) == "D*M+K*M"
    assert "784" not in str(kernel.cost())


@pytest.mark.parametrize(
    ("options", "code"),
    [({"dtype": "int8"}, "DK031"), ({"sizes": {"Q": 3}}, "DK008"), ({"sizes": {"D": 0}}, "DK041"), ({"batch": "q"}, "DK008")],
)
def test_what_is_refused(options, code):
    with pytest.raises(derivkit.DerivkitError) as caught:
        derivkit.cost(TANH, **options)
    assert caught.value.code == code


def test_the_command_line(capsys):
    from derivkit.cli.main import main

    assert main(["cost", "C = A @ B", "--shape", "A=M,K", "--shape", "B=K,N", "--sizes", "M=2, K=3, N=4"]) == 0
    assert "parameters: 18" in capsys.readouterr().out
    assert main(["cost", "C = A @ B", "--sizes", "M=two"]) == 2
    assert "--sizes needs NAME=NUMBER" in capsys.readouterr().err
    for command in (["cost", "C = A @ B"], ["train"]):  # both read it alike
        for given, told in {
            "M=0": "needs NAME=NUMBER, from 1",
            "M=2, M=3": "was given twice for 'M'",
            "M=2,": "needs names",
        }.items():
            assert main([*command, "--sizes", given]) == 2
            assert f"--sizes {told}" in capsys.readouterr().err
