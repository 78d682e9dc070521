"""`vtk bench`: side-by-side measurements on this machine."""

from vtk.cli.bench_dashboard import dashboard
from vtk.cli.bench_decode import decode
from vtk.cli.bench_download import download
from vtk.cli.bench_evaluation import evaluation
from vtk.cli.bench_growth import growth
from vtk.cli.bench_samples import samples
from vtk.cli.bench_split import split
from vtk.cli.bench_step import memory, step
from vtk.cli.help import Menu

bench_app = Menu(help="Measure how fast this machine does what vtk does.")
bench_app.command("step")(step)
bench_app.command("memory")(memory)
bench_app.command("growth")(growth)
bench_app.command("decode")(decode)
bench_app.command("samples")(samples)
bench_app.command("split")(split)
bench_app.command("dashboard")(dashboard)
bench_app.command("download")(download)
bench_app.command("eval")(evaluation)
